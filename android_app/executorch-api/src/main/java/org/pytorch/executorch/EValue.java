package org.pytorch.executorch;

/** A value that goes into or comes out of a method. Signatures only. */
public class EValue {
    private EValue() {}

    public static EValue from(Tensor value) {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public boolean isTensor() {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public Tensor toTensor() {
        throw new UnsupportedOperationException("Signatures only.");
    }
}
