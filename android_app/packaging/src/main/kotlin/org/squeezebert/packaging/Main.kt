package org.squeezebert.packaging

import java.io.File
import kotlin.system.exitProcess

/** The app's package. */
const val APPLICATION_ID = "org.squeezebert.app"

/** Called by the app's pom.xml: the first argument is the step, the others are `name=value`. */
fun main(arguments: Array<String>) {
    try {
        val options = Options.parse(arguments.drop(1))
        when (val step = arguments.firstOrNull()) {
            "resources" -> prepareResources(options)
            else ->
                throw PackagingError("There is no step $step.", "Name resources or package.")
        }
    } catch (error: PackagingError) {
        System.err.println("${error.reason}\n${error.nextStep}")
        exitProcess(1)
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
            testLibraries = options.files("testLibraries"),
            instrumentedAndroid = fromClassPath("android-all-instrumented-"),
        )
        .run()
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
