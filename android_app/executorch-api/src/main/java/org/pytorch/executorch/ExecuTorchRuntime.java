package org.pytorch.executorch;

/** The library of the process. Signatures only. */
public class ExecuTorchRuntime {
    private ExecuTorchRuntime() {}

    public static ExecuTorchRuntime getRuntime() {
        throw new UnsupportedOperationException("Signatures only.");
    }
}
