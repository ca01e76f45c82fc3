package org.pytorch.executorch;

/** The element types that this app meets. */
public enum DType {
    INT32,
    INT64,
    FLOAT
}
