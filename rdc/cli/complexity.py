"""`rdc complexity`: what an architecture costs."""

from __future__ import annotations

import argparse


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds `complexity`."""
    complexity = commands.add_parser(
        "complexity", help="exact cost of an architecture by side and component"
    )
    complexity.add_argument("name", metavar="NAME", help="a named architecture")
    complexity.add_argument("--height-px", type=int, default=512)
    complexity.add_argument("--width-px", type=int, default=768)
    complexity.set_defaults(run=_complexity)


def _complexity(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from rdc.architectures import resolve
    from rdc.complexity import count

    spec = resolve(options.name)
    cost = count(spec, options.height_px, options.width_px)
    table = Table(title=f"{options.name}: {spec.family}")
    table.add_column("side")
    table.add_column("component")
    for heading in ("parameters", "kMACs/px", "kFLOPs/px"):
        table.add_column(heading, justify="right")
    for row in cost.by_component:
        kmacs = row.macs_per_px / 1000
        table.add_row(row.side, row.component, f"{row.params:,}", *_both(kmacs))
    table.add_section()
    table.add_row("encode", "all", "", *_both(cost.kmacs_per_px_encode))
    table.add_row(
        "decode", "all", f"{cost.params_decoder:,}", *_both(cost.kmacs_per_px)
    )
    table.add_row("both", "all", f"{cost.params_total:,}", "", "")
    console = Console()
    console.print(table)
    console.print(
        f"At {options.height_px} x {options.width_px} px, per unpadded pixel; padded "
        f"pixels {cost.padded_px_ratio:.3f} x. 1 MAC = 2 FLOPs. Decoder activations "
        f"at most {cost.decoder_peak_bytes_per_px:.0f} B/px (float32, unfused)."
    )


def _both(kmacs: float) -> tuple[str, str]:
    return f"{kmacs:.3f}", f"{2 * kmacs:.3f}"
