package org.squeezebert.packaging.inspect

/** An element of an APK's manifest; attributes by name, without namespace. */
class Element(val name: String) {
    val attributes = mutableMapOf<String, String>()
    val children = mutableListOf<Element>()

    /** This element and all below it. */
    fun all(): List<Element> = listOf(this) + children.flatMap { it.all() }
}

private val ELEMENT = Regex("""^( *)E: ([\w-]+) \(line=\d+\)$""")
private val ATTRIBUTE =
    Regex("""^ *A: (?:\S+:)?(\w+)(?:\(0x[0-9a-f]+\))?=(?:"(.*?)" \(Raw.*|(.*))$""")

/** Reads what `aapt2 dump xmltree` prints of a manifest. */
fun readManifest(text: String): Element {
    val root = Element("")
    val open = mutableListOf(-1 to root)
    for (line in text.lines()) {
        ELEMENT.find(line)?.destructured?.let { (indent, name) ->
            while (open.last().first >= indent.length) open.removeAt(open.lastIndex)
            val element = Element(name)
            open.last().second.children += element
            open += indent.length to element
        }
        ATTRIBUTE.find(line)?.destructured?.let { (name, quoted, plain) ->
            open.last().second.attributes[name] = quoted.ifEmpty { plain }
        }
    }
    return root.children.single()
}
