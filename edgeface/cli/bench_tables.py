"""What the benchmarks found, as tables for a terminal."""

from __future__ import annotations

from typing import Any


def show_pipeline(measured: dict[str, Any]) -> None:
    """`edgeface bench pipeline`."""
    width, height = measured["frame_size_px"]
    print(
        f"{measured['frames']} frames of {width}x{height}, {measured['faces_per_frame']:.2f} faces"
        f" and {measured['embeddings_per_frame']:.2f} embeddings a frame,"
        f" gallery of {measured['gallery']}; {sum(measured['outcomes'].values())} decisions"
    )
    yardstick = measured["yardstick_ms"]
    print(f"{'stage':<18}{'ms a frame':>12}{'yardsticks':>12}")
    for name, spent_ms in measured["stage_ms"].items():
        print(f"{name:<18}{spent_ms:>12.3f}{spent_ms / yardstick:>12.3f}")
    print(
        f"{'all but decode and invoke':<18} {measured['other_ms']:.3f} ms a frame"
        f" (median {measured['other_median_ms']:.3f}),"
        f" {measured['other_in_yardsticks']:.3f} yardsticks,"
        f" {measured['other_share_of_cpu']:.0%} of the processor time"
    )
    idle = measured["idle"]
    print(
        f"{'at rest':<18} {idle['idle_ms']:.3f} ms a frame for {idle['awake_ms']:.3f} without"
        f" idle_after_s, {idle['idle_share']:.0%}; {idle['frames']} frames of"
        f" {'the clip' if idle['of_clip'] else 'an empty door'}, decoding left out"
    )
    print(f"yardstick {yardstick:.3f} ms: 5x5 blur of 1280x720, run beside the frames")
    print(
        f"resident {measured['resident_start_mib']:.1f} MiB after the warm-up,"
        f" at most {measured['resident_peak_mib']:.1f}; trend {measured['growth_mib']:+z.2f} MiB"
        f" ({measured['growth_kib_per_1000_frames']:+z.1f} KiB per 1,000 frames)"
    )


def show_events(measured: dict[str, Any]) -> None:
    """`edgeface bench events`."""
    print(
        f"{measured['events']} events of {measured['payload_bytes']} bytes at"
        f" {measured['fps']:g} a second, outbox on {measured['file_system']};"
        f" {measured['frames_dropped']} frames dropped"
    )
    print(f"{'ms from the capture to':<42}{'p50':>9}{'p99':>9}{'most':>9}")
    for key, name in (
        ("commit", "the commit on disk"),
        ("door", "a subscriber of the live copy"),
        ("puback", "the PUBACK of the log copy"),
        ("yardstick", "yardstick: append, fsync, publish, PUBACK"),
    ):
        row = measured[key]
        print(f"{name:<42}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{row['max_ms']:>9.2f}")
    print(
        f"PUBACK in yardsticks: p50 {measured['p50_in_yardsticks']:.2f},"
        f" p99 {measured['p99_in_yardsticks']:.2f}"
    )
    if measured["file_system"] in {"tmpfs", "ramfs"}:
        print("this file system is memory, not a disk: choose another with --folder")


def show_start(measured: dict[str, Any]) -> None:
    """`edgeface bench start`."""
    yardstick = measured["yardstick_s"]
    print(f"median of {measured['runs']} starts, {measured['people']} people in the gallery")
    print(f"{'phase':<14}{'s':>8}{'yardsticks':>12}")
    rows = [*measured["phases_s"].items(), ("ready", measured["ready_s"])]
    for name, spent_s in rows:
        print(f"{name:<14}{spent_s:>8.3f}{spent_s / yardstick:>12.2f}")
    print(
        f"at most {measured['ready_most_s']:.3f} s; the broker has acknowledged `online` after"
        f" {measured['broker_s']:.3f} s, beside the rest"
    )
    print(f"yardstick {yardstick:.3f} s: python -c 'import numpy, cv2', run beside the starts")


def show_soak(measured: dict[str, Any]) -> None:
    """`edgeface bench soak`."""
    counters = measured["counters"]
    print(
        f"{measured['minutes']:g} minutes at {measured['fps']:g} frames a second,"
        f" {measured['people']} people in the gallery; {measured['cores']:.2f} cores;"
        f" the broker was killed {measured['outages']} times"
    )
    print(f"{'second half':<18}{'begins':>10}{'ends':>10}{'most':>10}{'an hour':>10}  verdict")
    for name in ("resident_mib", "proportional_mib", "descriptors", "threads"):
        row = measured[name]
        verdict = "flat" if row["flat"] else "GROWS"
        if measured["flat"] is None:
            verdict = "too short to tell"
        print(
            f"{name:<18}{row['first']:>10.1f}{row['last']:>10.1f}{row['most']:>10.1f}"
            f"{row['slope_per_hour']:>+10.2f}  {verdict}"
        )
    print("counters: " + ", ".join(f"{name} {count}" for name, count in counters.items()))
    print(f"exit status of the daemon {measured['exit_code']}")


def show_sync(found: dict[str, Any]) -> None:
    """`edgeface bench sync`."""
    for name, value in found.items():
        if isinstance(value, dict):
            value = "  ".join(f"{key} {item:.3f}" for key, item in value.items())
        elif isinstance(value, float):
            value = f"{value:.3f}"
        elif isinstance(value, list):
            value = ", ".join(map(str, value)) or "none"
        print(f"{name:<24}{value}")
