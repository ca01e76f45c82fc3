package org.squeezebert.core.benchmark

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.squeezebert.core.UserError

class PlanFileTest {
    private val text = """
        {"schema": "squeezebert-app-plan/1", "command": ["run"], "device": "app:1A2B",
         "entries": [{"id": "e1", "label": "one", "roles": ["subject"], "target": "onnx",
          "bundle": {}, "nominal_flops": {"4": 1},
          "artifact": {"path": "onnx/a.onnx", "flavour": "optimized", "precision": "int8",
           "bytes": 10, "sha256": "aa", "fingerprint": null, "accuracy": null,
           "files": [{"path": "onnx/a.onnx", "bytes": 10, "sha256": "aa"}]}}],
         "bundles": {"e1": "bundles/1"}, "lengths": [4], "threads": [1, 2],
         "settings": {"blocks": 4, "most_blocks": 0, "interval_goal": 0.03, "seconds_per_block": 1,
          "minimum_iterations": 3, "warm_up_limit": 10.0, "step_limit": 120.0, "cores": "all",
          "starts": 0, "pause_limit": 0.0, "seed": 0},
         "tensors": {"e1": {
          "inputs": [{"name": "input_ids", "dtype": "int64", "shape": ["batch", 4]}],
          "outputs": [{"name": "logits", "dtype": "float32", "shape": [1, 2]}]}},
         "inputs": {"e1": {"4": {
          "input_ids": {"dtype": "int64", "shape": [1, 4], "values": [5, 6]},
          "attention_mask": {"dtype": "int64", "shape": [1, 4], "values": [1]}}}},
         "expected": {"e1": {"4": {"logits": {"shape": [1, 2], "values": [0.5, -1]}}}},
         "tolerances": {"e1": 0.2}, "warnings": [], "notices": ["left out"]}
    """

    private val document = Json.parseToJsonElement(text).jsonObject

    @Test
    fun `a plan is read`() {
        val plan = readPlan(text)
        val entry = plan.entries.single()
        assertEquals("app:1A2B", plan.device)
        assertEquals(listOf(1, 2), plan.threads)
        assertEquals(4, plan.settings.blocks)
        assertEquals("bundles/1", entry.bundle)
        assertArrayEquals(intArrayOf(5, 6, 5, 6), entry.inputs.getValue(4).ids)
        assertArrayEquals(intArrayOf(1, 1, 1, 1), entry.inputs.getValue(4).mask)
        assertArrayEquals(IntArray(4), entry.inputs.getValue(4).types)
        assertEquals(listOf(-1, 4), entry.artifact.inputs.single().shape)
        assertEquals(0.2, entry.tolerance, 0.0)
        val expected = entry.expected!!.getValue(4).getValue("logits")
        assertArrayEquals(doubleArrayOf(0.5, -1.0), expected.values, 0.0)
    }

    @Test
    fun `a plan that is written is read again`() {
        val written = readPlan(text).document()
        assertEquals(written, readPlan(written.toString()).document())
    }

    @Test
    fun `a plan that lacks anything is refused, with the name of what it lacks`() {
        for (name in document.keys) {
            val error = refused(JsonObject(document - name))
            assertTrue(error.reason, name in error.reason)
        }
    }

    @Test
    fun `a plan with anything that cannot be is refused`() {
        val broken = listOf(
            "squeezebert-app-plan/1" to "squeezebert-app-plan/2",
            "\"blocks\": 4" to "\"blocks\": 3",
            "\"blocks\": 4" to "\"blocks\": \"many\"",
            "\"cores\": \"all\"" to "\"cores\": \"big\"",
            "\"lengths\": [4]" to "\"lengths\": []",
            "\"lengths\": [4]" to "\"lengths\": [8, 4]",
            "\"lengths\": [4]" to "\"lengths\": [4, 8]",
            "\"threads\": [1, 2]" to "\"threads\": [0]",
            "bundles/1" to "../other",
            "bundles/1" to "/data/local/tmp",
            "bundles/1" to "bundles\\\\1",
            "onnx/a.onnx" to "onnx/../../a.onnx",
            "\"values\": [5, 6]" to "\"values\": []",
            "\"shape\": [1, 4]" to "\"shape\": [2, 2]",
            "\"attention_mask\"" to "\"pixels\"",
            "[\"subject\"]" to "[\"peak\"]",
            "\"e1\"" to "\"../../files\"",
            "\"e1\"" to "\"..\"",
            "\"e1\"" to "\"a/b\"",
            "[0.5, -1]" to "[0.5, NaN]",
            "[0.5, -1]" to "[0.5, 1e999]",
            "[0.5, -1]" to "[0.5, \"1\"]",
            "{\"e1\": 0.2}" to "{\"e1\": NaN}",
            "\"warm_up_limit\": 10.0" to "\"warm_up_limit\": Infinity",
            "\"onnx\"," to "7.5],",
        )
        for ((before, after) in broken) {
            assertTrue(before, before in text)
            refused(text.replace(before, after))
        }
        refused("[]")
        refused("")
    }

    private fun refused(plan: JsonElement): UserError = refused(plan.toString())

    private fun refused(plan: String): UserError =
        assertThrows(UserError::class.java) { readPlan(plan) }
}
