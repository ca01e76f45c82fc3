package org.pytorch.executorch;

import java.io.Closeable;

/** A loaded program. Signatures only. */
public class Module implements Closeable {
    public static final int LOAD_MODE_FILE = 0;
    public static final int LOAD_MODE_MMAP = 1;

    private Module() {}

    public static Module load(String modelPath, int loadMode, int numThreads) {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public EValue[] forward(EValue... inputs) {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public EValue[] execute(String methodName, EValue... inputs) {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public void loadMethod(String methodName) {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public String[] getMethods() {
        throw new UnsupportedOperationException("Signatures only.");
    }

    public void destroy() {
        throw new UnsupportedOperationException("Signatures only.");
    }

    @Override
    public void close() {
        throw new UnsupportedOperationException("Signatures only.");
    }
}
