"""Measures the latency of exported bundles.

The commands of ``squeezebert-bench`` are thin. The same in Python:

    plan = plan.make_plan(["out/squeezebert"], baselines=["out/bert"], lengths=[128])
    device = devices.base.open_device("host")
    with results.ResultsWriter(path, resume=False) as writer:
        writer.write(header.run_record(plan, device, command=[]))
        schedule.execute(plan, device, writer.write, progress=print)
    content = report.content.build_content(results.read_results(path))
"""

import os

# As in exporter/__init__.py. Here its thread would compute beside what is measured, too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
