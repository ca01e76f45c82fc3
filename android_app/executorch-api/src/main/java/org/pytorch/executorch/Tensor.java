package org.pytorch.executorch;

/** A tensor of one element type. Signatures only. */
public abstract class Tensor {
    Tensor() {}

    public static Tensor fromBlob(int[] data, long[] shape) {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public static Tensor fromBlob(long[] data, long[] shape) {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public static Tensor fromBlob(float[] data, long[] shape) {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public long[] shape() {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public abstract DType dtype();

    public float[] getDataAsFloatArray() {
        throw new UnsupportedOperationException("Signatures only.");
    }
}
