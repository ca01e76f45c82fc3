package org.squeezebert.packaging.inspect

import org.squeezebert.packaging.APPLICATION_ID

private val COMPONENTS = setOf("activity", "activity-alias", "service", "receiver", "provider")
private const val LAUNCHER = ".MainActivity"
private const val ENTRY = ".BenchmarkEntry"

/** What adb's shell holds and no app can ask for. */
private const val SHELL_PERMISSION = "android.permission.DUMP"

/** What is wrong with [manifest], where [classes] are in the dex; see [Inspection.manifest]. */
fun manifestFindings(
    manifest: Element,
    expectation: Expectation,
    classes: Set<String>,
): List<String> = buildList {
    val elements = manifest.all()
    if (manifest.attributes["package"] != APPLICATION_ID) add("The package is another one.")
    elements
        .filter { it.name.startsWith("uses-permission") }
        .forEach { add("It asks for ${it.attributes["name"]}.") }
    val sdks = elements.single { it.name == "uses-sdk" }.attributes
    if (sdks["minSdkVersion"] != "${expectation.minSdk}") add("minSdk is not as said.")
    if (sdks["targetSdkVersion"] != "${expectation.targetSdk}") add("targetSdk is not as said.")
    val application = elements.single { it.name == "application" }
    if (application.attributes["debuggable"] == "true") add("It can be debugged.")
    if (application.attributes["extractNativeLibs"] != "false") add("Libraries are unpacked.")
    val components = elements.filter { it.name in COMPONENTS }
    for (component in components) {
        val name = component.attributes["name"]
        val guard = component.attributes["permission"]
        if (component.attributes["exported"] == "true" && name != LAUNCHER && guard == null) {
            add("Every app may start $name.")
        }
    }
    val entry = components.find { it.attributes["name"] == ENTRY }
    if (entry?.attributes?.get("permission") != SHELL_PERMISSION) {
        add("$ENTRY is not there, or not for adb's shell alone.")
    }
    (components.filter { it.name != "activity-alias" } + application)
        .mapNotNull { it.attributes["name"] }
        .map { if (it.startsWith(".")) APPLICATION_ID + it else it }
        .filter { it !in classes }
        .forEach { add("The class $it is not in the dex.") }
}
