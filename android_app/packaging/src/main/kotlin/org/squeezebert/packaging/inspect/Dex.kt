package org.squeezebert.packaging.inspect

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * What a dex file holds, as far as this project asks: the classes defined in it, every string, and
 * how many call sites of `invoke-custom` there are.
 *
 * Offsets from the specification "Dalvik executable format", header and map list.
 */
class Dex(bytes: ByteArray) {
    private val data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)

    /** Every string: names, descriptors and constants. */
    val strings: List<String> = run {
        val offset = data.getInt(STRING_IDS + 4)
        List(data.getInt(STRING_IDS)) { readString(data.getInt(offset + 4 * it)) }
    }

    /** Descriptors of the types that are referred to: `Ljava/lang/Object;`. */
    val types: List<String> = run {
        val offset = data.getInt(TYPE_IDS + 4)
        List(data.getInt(TYPE_IDS)) { strings[data.getInt(offset + 4 * it)] }
    }

    /** Names of the classes that are defined here: `java.lang.Object`. */
    val classes: Set<String> = run {
        val offset = data.getInt(CLASS_DEFS + 4)
        List(data.getInt(CLASS_DEFS)) { types[data.getInt(offset + CLASS_DEF_BYTES * it)] }
            .map { it.removePrefix("L").removeSuffix(";").replace('/', '.') }
            .toSet()
    }

    /** Call sites and method handles: what `invoke-custom` needs. */
    val callSites: Int = run {
        val map = data.getInt(MAP_OFFSET)
        (0 until data.getInt(map))
            .map { map + 4 + MAP_ITEM_BYTES * it }
            .filter { data.getShort(it) in listOf(CALL_SITE_IDS, METHOD_HANDLES) }
            .sumOf { data.getInt(it + 4) }
    }

    /** `class.method` of the methods that are referred to or defined here. */
    val methods: Set<String> = run {
        val offset = data.getInt(METHOD_IDS + 4)
        List(data.getInt(METHOD_IDS)) { index ->
                val item = offset + 8 * index
                val owner = types[data.getShort(item).toInt() and 0xffff]
                val name = strings[data.getInt(item + 4)]
                "${owner.removePrefix("L").removeSuffix(";").replace('/', '.')}.$name"
            }
            .toSet()
    }

    /** "Modified UTF-8"; whatever lies beyond ASCII is of no interest here. */
    private fun readString(offset: Int): String {
        var start = offset
        while (data.get(start) < 0) start++
        start++
        var end = start
        while (data.get(end) != 0.toByte()) end++
        return String(data.array(), start, end - start)
    }

    private companion object {
        const val MAP_OFFSET = 0x34
        const val STRING_IDS = 0x38
        const val TYPE_IDS = 0x40
        const val METHOD_IDS = 0x58
        const val CLASS_DEFS = 0x60
        const val CLASS_DEF_BYTES = 32
        const val MAP_ITEM_BYTES = 12
        const val CALL_SITE_IDS: Short = 0x0007
        const val METHOD_HANDLES: Short = 0x0008
    }
}
