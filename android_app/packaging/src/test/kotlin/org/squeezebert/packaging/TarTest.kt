package org.squeezebert.packaging

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.packaging.engines.unpackTar

class TarTest {
    @get:Rule val folder = TemporaryFolder()

    private fun pack(vararg names: String): File {
        val archive = File(folder.root, "a.tgz")
        val tar =
            listOf("tar", "--format=ustar", "-czPf", archive.path, "-C", folder.root.path) + names
        runCommand(tar, "")
        return archive
    }

    @Test
    fun unpacksWhatIsWantedWithLongNames() {
        val long = "package/" + "folder/".repeat(14) + "library.so"
        val content = "x".repeat(1234)
        for (name in listOf(long, "package/other", "package/full")) {
            val file = File(folder.root, name)
            file.parentFile.mkdirs()
            file.writeText(if (name == "package/full") "y".repeat(512) else content)
        }
        val target = File(folder.root, "target")
        unpackTar(pack("package/other", "package/full", long), target) { it != "package/other" }
        assertEquals(content, File(target, long).readText())
        assertEquals("y".repeat(512), File(target, "package/full").readText())
        assertEquals(false, File(target, "package/other").exists())
    }

    @Test
    fun refusesNamesThatLeaveTheFolder() {
        File(folder.root, "evil").writeText("evil")
        folder.newFolder("inner")
        val archive = pack("inner/../evil")
        assertThrows(PackagingError::class.java) { unpackTar(archive, folder.newFolder()) { true } }
    }
}
