package org.squeezebert.app.entry

import android.app.ActivityManager
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.Debug
import android.os.PowerManager
import android.os.Process
import java.io.File
import java.io.IOException
import java.time.OffsetDateTime
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject
import org.squeezebert.core.benchmark.Clusters
import org.squeezebert.core.benchmark.Phone

/**
 * The phone that the app runs on.
 *
 * Apps may read less than adb's shell: the clocks' files on most phones, temperatures of sensors on
 * few. What cannot be read is left out.
 *
 * @param root holds the folders `proc` and `sys`.
 */
class AndroidPhone(context: Context, private val root: File = File("/")) : Phone {
    private val context: Context = context.applicationContext
    private val cpuInfo = text("proc/cpuinfo").orEmpty()

    /** Every core that one of the sources knows: a core that sleeps is in some only. */
    private val cores: List<Int> = (coresIn(cpuInfo) + coreFolders()).sorted()

    /** Sensors that the app may read: asking the others again would only cost time. */
    private val thermometers: List<Thermometer> by lazy(::findThermometers)

    /** Which cores are of one kind. */
    val clusters: Clusters =
        Clusters.read(cores.associate { "cpu$it" to clock(it, "cpuinfo_max_freq") }, cpuInfo)

    override fun fingerprint(): JsonObject = buildJsonObject {
        val abis = Build.SUPPORTED_ABIS.toList()
        put("kind", "app")
        put("model", model())
        put("architecture", architectureOf(abis.firstOrNull() ?: "unknown"))
        put("cores", cores.size)
        put("features", JsonArray(featuresIn(cpuInfo).map(::JsonPrimitive)))
        put("memory_bytes", memory().totalMem)
        put("system", "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})")
        put("emulated", Build.HARDWARE in EMULATED_HARDWARE)
        putJsonObject("extra") {
            put("soc", soc())
            put("build", Build.FINGERPRINT)
            put("abis", JsonArray(abis.map(::JsonPrimitive)))
            put("app_abi", appAbi())
        }
        put("clusters", clusters.document())
    }

    override fun versions(): Map<String, String> {
        val own = context.packageManager.getPackageInfo(context.packageName, 0)
        return mapOf("app" to own.versionName.orEmpty())
    }

    override fun conditions(): JsonObject = buildJsonObject {
        sensors().forEach { (name, value) -> put(name, value) }
        put("thermal_status", thermalStatus())
        val battery = battery()
        put("battery_percent", battery?.percent())
        put("battery_celsius", battery?.celsius())
        put("charging", battery?.charging())
        put("screen_on", context.getSystemService(PowerManager::class.java)?.isInteractive)
    }

    override fun sensors(): JsonObject = buildJsonObject {
        val clocks = cores.associateWith { clock(it, "scaling_cur_freq")?.trim()?.toLongOrNull() }
        putJsonObject("khz") {
            for ((cpu, khz) in clocks) if (khz != null && khz > 0) put("$cpu", khz)
        }
        putJsonObject("celsius") {
            for (it in thermometers) it.celsius()?.let { degrees -> put(it.name, degrees) }
        }
    }

    /** Android tells it in whole milliseconds. */
    override fun processCpuNanos(): Long = NANOS_PER_MILLI * Process.getElapsedCpuTime()

    override fun peakRssBytes(): Long = text("proc/self/status")?.let { bytesIn(it, "VmHWM") } ?: 0

    override fun pssBytes(): Long? = Debug.getPss().takeIf { it > 0 }?.times(BYTES_PER_KB)

    override fun freeMemoryBytes(): Long =
        memory().run { availMem - threshold }.coerceAtLeast(0)

    override fun isHidden(): Boolean {
        val state = ActivityManager.RunningAppProcessInfo()
        ActivityManager.getMyMemoryState(state)
        return state.importance > ActivityManager.RunningAppProcessInfo.IMPORTANCE_FOREGROUND
    }

    override fun nanoTime(): Long = System.nanoTime()

    override fun utcNow(): String = OffsetDateTime.now(ZoneOffset.UTC).format(MOMENT)

    override fun sleep(millis: Long) = Thread.sleep(millis)

    override fun thermalStatus(): Int? = when {
        Build.VERSION.SDK_INT < Build.VERSION_CODES.Q -> null
        else -> context.getSystemService(PowerManager::class.java)?.currentThermalStatus
    }

    private fun memory() = ActivityManager.MemoryInfo().also {
        context.getSystemService(ActivityManager::class.java)?.getMemoryInfo(it)
    }

    private fun model(): String = when {
        Build.MODEL.startsWith(Build.MANUFACTURER, ignoreCase = true) -> Build.MODEL
        else -> "${Build.MANUFACTURER} ${Build.MODEL}"
    }

    private fun soc(): String = when {
        Build.VERSION.SDK_INT >= Build.VERSION_CODES.S && Build.SOC_MODEL != Build.UNKNOWN ->
            Build.SOC_MODEL
        else -> Build.BOARD
    }

    /** What the app itself is built for: an emulator translates others for apps. */
    private fun appAbi(): String = when (
        val folder = context.applicationInfo.nativeLibraryDir?.substringAfterLast('/')
    ) {
        "arm64" -> "arm64-v8a"
        "arm" -> "armeabi-v7a"
        null -> "unknown"
        else -> folder
    }

    private fun battery(): Intent? =
        context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))

    private fun Intent.percent(): Double? {
        val level = getIntExtra(BatteryManager.EXTRA_LEVEL, -1)
        val scale = getIntExtra(BatteryManager.EXTRA_SCALE, 0)
        return if (level in 0..scale && scale > 0) PERCENT * level / scale else null
    }

    private fun Intent.celsius(): Double? =
        plausible(getIntExtra(BatteryManager.EXTRA_TEMPERATURE, 0) / BATTERY_STEPS)

    private fun Intent.charging(): Boolean? =
        when (getIntExtra(BatteryManager.EXTRA_STATUS, -1)) {
            BatteryManager.BATTERY_STATUS_CHARGING -> true
            BatteryManager.BATTERY_STATUS_DISCHARGING,
            BatteryManager.BATTERY_STATUS_NOT_CHARGING,
            BatteryManager.BATTERY_STATUS_FULL,
            -> false
            else -> null
        }

    private fun coreFolders(): Set<Int> = File(root, "sys/devices/system/cpu").list().orEmpty()
        .mapNotNull { CORE_FOLDER.matchEntire(it)?.groupValues?.get(1)?.toInt() }
        .toSet()

    private fun clock(cpu: Int, name: String): String? =
        text("sys/devices/system/cpu/cpu$cpu/cpufreq/$name")

    private fun findThermometers(): List<Thermometer> =
        File(root, "sys/class/thermal").list().orEmpty()
            .filter { it.startsWith("thermal_zone") }
            .sortedBy { it.removePrefix("thermal_zone").toIntOrNull() }
            .mapNotNull { zone ->
                val kind = text("sys/class/thermal/$zone/type")?.trim() ?: return@mapNotNull null
                val number = zone.removePrefix("thermal_zone")
                Thermometer("$kind-$number", File(root, "sys/class/thermal/$zone/temp"))
                    .takeIf { it.celsius() != null }
            }

    private fun text(path: String): String? = read(File(root, path))

    /** A sensor: [name] is its kind with the zone's number, which keeps equal kinds apart. */
    private class Thermometer(val name: String, private val file: File) {
        fun celsius(): Double? =
            read(file)?.trim()?.toDoubleOrNull()?.let { plausible(it / THERMAL_STEPS) }
    }

    private companion object {
        const val NANOS_PER_MILLI = 1_000_000L
        const val PERCENT = 100.0

        /** BatteryManager.EXTRA_TEMPERATURE is in tenths, the kernel's zones are in thousandths. */
        const val BATTERY_STEPS = 10.0
        const val THERMAL_STEPS = 1000.0

        /** Sensors that are not connected read 0 or less, or absurdly high. */
        const val HOTTEST = 150.0

        /** As in runtime_bench/adb/probe.py. */
        val EMULATED_HARDWARE = setOf("goldfish", "ranchu")
        val CORE_FOLDER = Regex("cpu(\\d{1,4})")
        val MOMENT: DateTimeFormatter = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSxxx")

        fun plausible(degrees: Double): Double? = degrees.takeIf { it > 0 && it < HOTTEST }

        fun read(file: File): String? = try {
            file.readText()
        } catch (_: IOException) {
            null
        }
    }
}
