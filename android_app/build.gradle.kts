// Loads each plugin once for all modules. The Android plugin compiles Kotlin itself.
plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.kotlin.jvm) apply false
}
