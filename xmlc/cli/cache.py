"""`xmlc cache`: show, empty or check the cache of compiled code."""

from __future__ import annotations

import json
import time

import click

from xmlc.cache import Cache
from xmlc.cli.group import Group
from xmlc.logs import log_to_standard_error


@click.group(cls=Group)
def cache() -> None:
    """Show, empty or check the cache of compiled code (XMLC_CACHE_DIR)."""
    log_to_standard_error()


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def ls(as_json: bool) -> None:
    """Entries, most recently used first."""
    store = Cache()
    entries = store.entries()
    if as_json:
        records = [{"key": each.key, "size": each.size, "used": each.used, "path": str(each.path)} for each in entries]
        click.echo(json.dumps(records, indent=2))
        return
    for each in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used))
        click.echo(f"{each.size:12,} bytes  {used}  {each.key}")
    total = sum(each.size for each in entries)
    click.echo(f"{len(entries)} entries, {total:,} of at most {store.limit:,} bytes, in {store.folder}")


@cache.command()
def clear() -> None:
    """Remove every entry."""
    click.echo(f"removed {Cache().clear()} entries")


@cache.command()
def verify() -> int:
    """Read every entry and remove the damaged ones; the exit code is 1 if there were any."""
    store = Cache()
    damaged = store.verify()
    for path, reason in damaged:
        click.echo(f"{path}: {reason}")
    click.echo(f"{len(store.entries())} entries are sound, {len(damaged)} were damaged and are removed")
    return 1 if damaged else 0
