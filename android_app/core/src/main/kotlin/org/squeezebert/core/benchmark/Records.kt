package org.squeezebert.core.benchmark

/** The schema of every record (runtime_bench/records.py). */
internal const val RECORD_SCHEMA = "squeezebert-record/1"
