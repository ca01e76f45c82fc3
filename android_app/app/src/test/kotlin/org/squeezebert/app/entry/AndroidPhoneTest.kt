package org.squeezebert.app.entry

import android.app.ActivityManager
import android.app.ActivityManager.RunningAppProcessInfo
import android.content.Context
import android.content.Intent
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import android.os.Process
import java.io.File
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.util.ReflectionHelpers

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class AndroidPhoneTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val context: Context = RuntimeEnvironment.getApplication()
    private val phone get() = AndroidPhone(context, temporary.root)

    @Before
    fun aPhoneWithTwoKindsOfCores() {
        val cores = (0..2).joinToString("\n") { cpu ->
            val more = if (cpu == 2) "asimddp i8mm" else "asimddp"
            val part = "0xd0${5 + cpu / 2}"
            "processor\t: $cpu\nFeatures\t: fp asimd atomics $more\nCPU part\t: $part\n"
        }
        write("proc/cpuinfo", cores)
        write("proc/self/status", "VmPeak:\t 9999 kB\nVmHWM:\t  2048 kB\n")
        for (cpu in 0..2) {
            val clocks = "sys/devices/system/cpu/cpu$cpu/cpufreq"
            write("$clocks/cpuinfo_max_freq", if (cpu == 2) "2800000\n" else "1800000\n")
            write("$clocks/scaling_cur_freq", "${1_000_000 + cpu}\n")
        }
        write("sys/devices/system/cpu/cpufreq/policy0/x", "")
        write("sys/devices/system/cpu/cpu3/online", "0")
        write("sys/class/thermal/thermal_zone0/type", "BIG\n")
        write("sys/class/thermal/thermal_zone0/temp", "41500\n")
        write("sys/class/thermal/thermal_zone1/type", "BIG\n")
        write("sys/class/thermal/thermal_zone1/temp", "-40000\n")
        write("sys/class/thermal/thermal_zone2/type", "skin\n")
    }

    @Test
    fun theFingerprintIsOfThisPhone() {
        val found = phone.fingerprint()
        assertEquals(
            listOf(
                "kind", "model", "architecture", "cores", "features", "memory_bytes", "system",
                "emulated", "extra", "clusters",
            ),
            found.keys.toList(),
        )
        assertEquals(4, found.number("cores")) // one sleeps, and is not in /proc/cpuinfo
        val features = found.getValue("features").jsonArray.map { it.jsonPrimitive.content }
        assertEquals(listOf("asimd", "asimddp"), features)
        val kinds = found.getValue("clusters").jsonArray.map { it.jsonObject.getValue("name") }
        assertEquals("little", kinds.first().jsonPrimitive.content)
        assertEquals("big", kinds.last().jsonPrimitive.content)
        assertTrue(found.getValue("system").jsonPrimitive.content.startsWith("Android "))
    }

    @Test
    fun clocksAndTemperaturesAreThoseThatCanBeRead() {
        val sensors = phone.sensors()
        assertEquals(
            mapOf("0" to "1000000", "1" to "1000001", "2" to "1000002"),
            sensors.texts("khz"),
        )
        assertEquals(mapOf("BIG-0" to "41.5"), sensors.texts("celsius"))
    }

    @Test
    fun nothingThatAPhoneHidesIsMadeUp() {
        temporary.root.resolve("sys").deleteRecursively()
        temporary.root.resolve("proc").deleteRecursively()
        val hidden = AndroidPhone(context, temporary.root)
        assertEquals(emptyMap<String, String>(), hidden.sensors().texts("khz"))
        assertEquals(emptyMap<String, String>(), hidden.sensors().texts("celsius"))
        assertEquals(0, hidden.fingerprint().number("cores"))
        assertEquals(1, hidden.clusters.recommendedThreads())
    }

    @Test
    fun conditionsAreTheBatterysAndTheScreens() {
        battery(level = 40, scale = 50, tenths = 312, BatteryManager.BATTERY_STATUS_CHARGING)
        val power = shadowOf(context.getSystemService(PowerManager::class.java))
        power.turnScreenOn(false)
        power.setCurrentThermalStatus(PowerManager.THERMAL_STATUS_MODERATE)
        val found = phone.conditions()
        assertEquals(JsonPrimitive(80.0), found["battery_percent"])
        assertEquals(JsonPrimitive(31.2), found["battery_celsius"])
        assertEquals(JsonPrimitive(true), found["charging"])
        assertEquals(JsonPrimitive(false), found["screen_on"])
        assertEquals(JsonPrimitive(2), found["thermal_status"])
        assertEquals(2, phone.thermalStatus())
    }

    @Test
    fun aBatteryThatTellsNonsenseTellsNothing() {
        battery(level = -1, scale = 0, tenths = 0, status = 99)
        val found = phone.conditions()
        assertEquals(JsonNull, found["battery_percent"])
        assertEquals(JsonNull, found["battery_celsius"])
        assertEquals(JsonNull, found["charging"])
    }

    @Test
    fun anOldAndroidTellsNoThermalStatus() {
        val version = Build.VERSION.SDK_INT
        ReflectionHelpers.setStaticField(Build.VERSION::class.java, "SDK_INT", 28)
        try {
            assertEquals(null, phone.thermalStatus())
            assertEquals(JsonNull, phone.conditions()["thermal_status"])
        } finally {
            ReflectionHelpers.setStaticField(Build.VERSION::class.java, "SDK_INT", version)
        }
    }

    @Test
    fun whatIsBehindOtherAppsIsHidden() {
        val seen = RunningAppProcessInfo.IMPORTANCE_FOREGROUND
        val behind = RunningAppProcessInfo.IMPORTANCE_CACHED
        for ((state, hidden) in mapOf(seen to false, behind to true)) {
            val process = RunningAppProcessInfo(context.packageName, Process.myPid(), null)
            process.importance = state
            shadowOf(context.getSystemService(ActivityManager::class.java))
                .setProcesses(listOf(process))
            assertEquals(hidden, phone.isHidden())
        }
    }

    @Test
    fun memoryIsThePeakOfTheProcess() {
        assertEquals(2048L * 1024, phone.peakRssBytes())
    }

    @Test
    fun momentsAreThoseOfRecords() {
        val form = Regex("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}\\+00:00")
        assertTrue(phone.utcNow(), form.matches(phone.utcNow()))
    }

    private fun battery(level: Int, scale: Int, tenths: Int, status: Int) {
        @Suppress("DEPRECATION")
        context.sendStickyBroadcast(
            Intent(Intent.ACTION_BATTERY_CHANGED)
                .putExtra(BatteryManager.EXTRA_LEVEL, level)
                .putExtra(BatteryManager.EXTRA_SCALE, scale)
                .putExtra(BatteryManager.EXTRA_TEMPERATURE, tenths)
                .putExtra(BatteryManager.EXTRA_STATUS, status),
        )
    }

    private fun write(path: String, text: String) {
        File(temporary.root, path).apply { parentFile?.mkdirs() }.writeText(text)
    }

    private fun JsonObject.number(name: String) = getValue(name).jsonPrimitive.content.toInt()

    private fun JsonObject.texts(name: String): Map<String, String> =
        getValue(name).jsonObject.mapValues { it.value.jsonPrimitive.content }
}
