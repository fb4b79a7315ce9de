#!/usr/bin/env python3
"""Reads a run's HdrHistogram log with HdrHistogram_py, and holds it against the same run's JSON.

    hdr_log.py RESULT.json RUN.hlog

For each tag and interval, and for each tag over the whole run where it had no warm-up: the number of samples, the
greatest one, and every percentile that the JSON states must be the same. Prints a line for each tag; ends with 1
where something differs. A percentile is the value at a rank; loadgen rounds the rank up, HdrHistogram_py to the
nearest whole one, so it is asked for the percentile of the rank that loadgen took.

Needs PyPI's `hdrhistogram` (requirements.txt beside this).
"""

import json
import math
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

TAGS = {
    "latency": "latency_us",
    "service": "service_us",
    "lateness": "lateness_us",
    "machine_stalls": "machine_stalls_us",
}
PERCENTILES = {"p50": 500_000, "p90": 900_000, "p99": 990_000, "p99_9": 999_000, "p99_99": 999_900}
# As loadgen's: an hour in microseconds, three digits.
BOUNDS = (1, 3_600_000_000, 3)


def value_at(histogram, ppm):
    rank = math.ceil(histogram.total_count * ppm / 1_000_000)
    return histogram.get_value_at_percentile(100.0 * rank / histogram.total_count)


def differences(histogram, summary):
    """What the JSON says of these samples and the histogram does not."""
    found = {"samples": histogram.total_count}
    if histogram.total_count:
        found["max"] = histogram.get_max_value()
        found |= {name: value_at(histogram, ppm) for name, ppm in PERCENTILES.items()}
    stated = {name: value for name, value in summary.items() if isinstance(value, int) and name in found}
    wrong = [f"{name} is {found[name]}, JSON has {value}" for name, value in stated.items() if found[name] != value]
    return wrong, len(stated)


def read(path):
    """Every histogram of the log: tag, milliseconds since the start, histogram."""
    reader = HistogramLogReader(path, HdrHistogram(*BOUNDS))
    while (histogram := reader.get_next_interval_histogram()) is not None:
        start_ms = histogram.get_start_time_stamp() - reader.get_start_time_sec() * 1_000
        yield histogram.get_tag(), round(start_ms), histogram
    reader.close()


def main(result_path, log_path):
    with open(result_path, encoding="utf-8") as file:
        result = json.load(file)
    points = {point["t_ms"]: point for point in result["timeline"]["points"]}
    wholes = {tag: HdrHistogram(*BOUNDS) for tag in TAGS}
    intervals, compared, wrong = dict.fromkeys(TAGS, 0), dict.fromkeys(TAGS, 0), []
    for tag, t_ms, histogram in read(log_path):
        wholes[tag].add(histogram)
        intervals[tag] += 1
        found, stated = differences(histogram, points[t_ms][TAGS[tag]])
        compared[tag] += stated
        wrong += [f"{tag} at {t_ms} ms: {what}" for what in found]
    for tag, whole in wholes.items():
        if intervals[tag] != len(points):
            wrong.append(f"{tag}: {intervals[tag]} intervals, JSON has {len(points)}")
        if not any(stage["warmup"] for stage in result["stages"]):
            found, stated = differences(whole, result[TAGS[tag]])
            compared[tag] += stated
            wrong += [f"{tag}: {what}" for what in found]
        values = ", ".join(f"{name} {value_at(whole, ppm)}" for name, ppm in PERCENTILES.items())
        print(f"{tag}: {intervals[tag]} intervals, {whole.total_count} samples, {values}; {compared[tag]} numbers compared")
    for line in wrong:
        print(f"differs: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
