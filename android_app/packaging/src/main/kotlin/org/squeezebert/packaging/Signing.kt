package org.squeezebert.packaging

import com.android.apksig.ApkSigner
import com.android.apksig.KeyConfig
import java.io.File
import java.io.IOException
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.PrivateKey
import java.security.cert.X509Certificate

/** Where the key lies that an APK is signed with: a PKCS #12 or JKS file. */
class SigningKey(val file: File, val password: String, val alias: String?) {
    /** The private key and its certificates; [PackagingError] where they cannot be had. */
    fun read(): Pair<PrivateKey, List<X509Certificate>> {
        try {
            val store = KeyStore.getInstance(file, password.toCharArray())
            val name =
                alias
                    ?: store.aliases().toList().singleOrNull()
                    ?: throw PackagingError(
                        "${file.name} does not hold exactly one key.",
                        "Name the key's alias with -Dkeystore.alias=NAME.",
                    )
            val key = store.getKey(name, password.toCharArray()) as? PrivateKey
            val chain = store.getCertificateChain(name)?.map { it as X509Certificate }
            if (key == null || chain == null) {
                throw PackagingError(
                    "${file.name} has no private key with the alias $name.",
                    "List the aliases with `keytool -list -keystore ${file.name}`.",
                )
            }
            return key to chain
        } catch (error: GeneralSecurityException) {
            throw unreadable(error)
        } catch (error: IOException) {
            throw unreadable(error)
        }
    }

    private fun unreadable(error: Exception) =
        PackagingError(
            "The keystore $file cannot be read: ${error.message}.",
            "Check -Dkeystore=FILE and -Dkeystore.password=PASSWORD.",
            error,
        )
}

/**
 * Signs [unsigned] into [signed] by the schemes 1, 2 and 3.
 *
 * minSdk 26 would need only 2; scheme 1 is there for tools and shops that still look for it. The
 * same key and content give the same bytes: RSA signatures of these schemes draw no random numbers.
 */
fun sign(unsigned: File, signed: File, key: SigningKey, minSdk: Int) {
    val (privateKey, certificates) = key.read()
    val keyConfig = KeyConfig.Jca(privateKey)
    val signer = ApkSigner.SignerConfig.Builder("signer", keyConfig, certificates).build()
    ApkSigner.Builder(listOf(signer))
        .setInputApk(unsigned)
        .setOutputApk(signed)
        .setMinSdkVersion(minSdk)
        .setV1SigningEnabled(true)
        .setV2SigningEnabled(true)
        .setV3SigningEnabled(true)
        .setV4SigningEnabled(false)
        .setCreatedBy("squeezebert")
        .setAlignmentPreserved(true)
        .build()
        .sign()
}
