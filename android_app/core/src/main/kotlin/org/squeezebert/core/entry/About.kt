package org.squeezebert.core.entry

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject
import org.squeezebert.core.benchmark.PLAN_SCHEMA
import org.squeezebert.core.benchmark.Phone
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine

/**
 * What a computer has to know of the app before it makes a plan: the plans that it reads, the phone
 * and the versions as a run record will hold them, and which engines run, by target.
 */
fun about(phone: Phone, engines: List<Engine>): JsonObject = buildJsonObject {
    put("plans", PLAN_SCHEMA)
    put("device", phone.fingerprint())
    put("versions", JsonObject(phone.versions().mapValues { JsonPrimitive(it.value) }))
    putJsonObject("engines") {
        for (engine in engines) {
            putJsonObject(engine.target) {
                put("name", engine.name)
                when (val found = engine.availability()) {
                    is Availability.Available -> put("version", found.version)
                    is Availability.Missing -> {
                        put("reason", found.why.reason)
                        put("next_step", found.why.nextStep)
                    }
                }
            }
        }
    }
}
