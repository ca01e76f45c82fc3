// Gradle packs what lies in src/main/assets, and no models by itself. Copy bundles to
// src/main/assets/bundles/NAME to have them in the app, or import them on the phone.
plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.squeezebert.app"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.squeezebert.app"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(
                getDefaultProguardFile("proguard-android-optimize.txt"),
                "proguard-rules.pro",
            )
        }
    }

    // One APK for each processor; see the README for the size of one.
    splits {
        abi {
            isEnable = true
            reset()
            include("arm64-v8a", "x86_64")
            isUniversalApk = false
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    packaging {
        jniLibs {
            // Mapped from the APK in pages of 16 KB, not unpacked.
            useLegacyPackaging = false
            // fbjni brings it, and an engine may do so, too.
            pickFirsts += "**/libc++_shared.so"
        }
    }

    testOptions {
        unitTests {
            isIncludeAndroidResources = true
            all {
                // Robolectric closes file descriptors through fields of java.io.
                it.jvmArgs("--add-opens=java.base/java.io=ALL-UNNAMED")
                it.environment("ORT_DISABLE_TELEMETRY", "1")
                // Tests measure models: gradle test -Dbundles=FOLDER,FOLDER, with absolute paths.
                it.systemProperty("bundles", System.getProperty("bundles").orEmpty())
            }
        }
    }
}

// On the computer the engine's library for desktops runs, with the same classes as the phone's.
configurations.matching { it.name.endsWith("UnitTestRuntimeClasspath") }.configureEach {
    exclude(group = "com.microsoft.onnxruntime", module = "onnxruntime-android")
}

dependencies {
    implementation(project(":core"))
    implementation(libs.kotlin.stdlib)
    implementation(libs.serialization)
    implementation(libs.onnxruntime.android)
    implementation(libs.executorch.android)
    implementation(libs.fbjni)
    implementation(libs.nativeloader)
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
    testRuntimeOnly(libs.onnxruntime.jvm)
}
