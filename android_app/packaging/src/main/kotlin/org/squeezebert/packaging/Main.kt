package org.squeezebert.packaging

import java.io.File
import java.util.Locale
import kotlin.system.exitProcess
import org.squeezebert.packaging.engines.Downloads
import org.squeezebert.packaging.engines.EngineSources
import org.squeezebert.packaging.engines.FindEngines
import org.squeezebert.packaging.engines.printedTable

/** The app's package. */
const val APPLICATION_ID = "org.squeezebert.app"

/** Of the key that this project carries: everybody may sign with it, so it proves nothing. */
private const val DEMO_PASSWORD = "android-demo"

private const val PASSWORD = "keystore.password"

/** Called by the app's pom.xml: the first argument is the step, the others are `name=value`. */
fun main(arguments: Array<String>) {
    try {
        runStep(arguments.firstOrNull(), Options.parse(arguments.drop(1)))
    } catch (error: PackagingError) {
        System.err.println("${error.reason}\n${error.nextStep}")
        exitProcess(1)
    }
}

/** Does one step of the build: "resources" or "package". */
fun runStep(step: String?, options: Options) {
    when (step) {
        "resources" -> prepareResources(options)
        "package" -> packageApp(options)
        else -> throw PackagingError("There is no step $step.", "Name resources or package.")
    }
}

private fun prepareResources(options: Options) {
    val app = options.file("app")
    PrepareResources(
            app = app,
            build = options.file("build"),
            inputs =
                ResourceInputs(
                    resources = File(app, "src/main/res"),
                    manifest = File(app, "src/main/AndroidManifest.xml"),
                    framework = options.file("framework"),
                    minSdk = options.text("minSdk"),
                    targetSdk = options.text("targetSdk"),
                    versionCode = options.text("versionCode"),
                    versionName = options.text("versionName"),
                ),
            testLibraries = listOf(
                    options.file("testLibrary.monitor"),
                    options.file("testLibrary.idling"),
                ),
            instrumentedAndroid = fromClassPath("android-all-instrumented-"),
        )
        .run()
}

private fun packageApp(options: Options) {
    val build = options.file("build")
    val work = options.optionalFile("work") ?: File(build, "package")
    val target = options.optionalFile("target") ?: build
    work.mkdirs()
    target.mkdirs()
    // For the tests, which build once more and compare. A password is for nobody to read.
    val told = options.without(PASSWORD)
    File(target, "package-options.txt").writeText(told.toString())
    val downloads =
        Downloads(
            maven = options.optional("maven")?.let { File(it, "bin/mvn") }?.takeIf(File::isFile),
            offline = options.optional("offline") == "true",
            say = ::println,
        )
    val sources =
        EngineSources(
            onnxruntimeArchive = options.optionalFile("onnxruntime.aar"),
            executorchArchive = options.optionalFile("executorch.aar"),
            onnxruntimeVersion = options.text("onnxruntime.version"),
            executorchVersion = options.text("executorch.version"),
            fbjniArchive = options.file("fbjni"),
            nativeLoader = options.file("nativeloader"),
        )
    val engines =
        FindEngines(sources, options.file("downloads"), File(work, "engines"), downloads).find()
    val app = options.file("app")
    val parts =
        AppParts(
            classes = options.files("classes").filter(File::exists),
            android = options.file("framework"),
            resources = File(build, "resources.apk"),
            keepRules = listOf(File(app, "proguard-rules.pro"), File(build, "keep-rules.txt")),
            assets = File(app, "src/main/assets"),
            bundles = options.optional("bundles").orEmpty().split(",").filter(String::isNotEmpty)
                .map { File(it).absoluteFile },
            engines = engines,
            minSdk = options.text("minSdk").toInt(),
        )
    val key =
        SigningKey(
            options.optionalFile("keystore") ?: options.file("demoKey"),
            options.optional(PASSWORD) ?: DEMO_PASSWORD,
            options.optional("keystore.alias"),
        )
    val apks = PackageApp(parts, key, work, target).run()
    val table = printedTable(engines) + "\n\n" + apks.joinToString("") { describe(it) }
    File(target, "engines.txt").writeText(table)
    print(table)
}

private fun describe(apk: File): String {
    val megabytes = "%.1f MB".format(Locale.ROOT, apk.length() / 1e6)
    return "${apk.name}  $megabytes  SHA-256 ${apk.sha256()}\n"
}

private fun fromClassPath(prefix: String): File =
    System.getProperty("java.class.path")
        .split(File.pathSeparatorChar)
        .map(::File)
        .firstOrNull { it.name.startsWith(prefix) }
        ?: throw PackagingError(
            "There is no $prefix*.jar on the class path.",
            "Start the packaging through Maven.",
        )
