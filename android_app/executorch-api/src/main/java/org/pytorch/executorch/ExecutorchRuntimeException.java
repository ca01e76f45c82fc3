package org.pytorch.executorch;

/** What the library throws when it refuses a file or an input. Signatures only. */
public class ExecutorchRuntimeException extends RuntimeException {
    public ExecutorchRuntimeException(int errorCode, String details) {
        super(details);
    }

    public int getErrorCode() {
        throw new UnsupportedOperationException("Signatures only.");
    }
}
