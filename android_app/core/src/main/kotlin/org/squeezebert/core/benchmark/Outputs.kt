package org.squeezebert.core.benchmark

/** An output as records tell it: its shape, and every so many-th value in row-major order. */
class Output(val shape: List<Long>, val values: DoubleArray)

/** The outputs of one inference by name, in the model's order. */
typealias Outputs = Map<String, Output>
