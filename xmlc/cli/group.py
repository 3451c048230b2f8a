"""A group of subcommands that answers an unknown one with the name that was perhaps meant."""

from __future__ import annotations

import click

from xmlc.wording import known_names


class Group(click.Group):
    """click's group, with a hint."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            raise click.UsageError(f"unknown command '{args[0]}'\nhint: {known_names(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)
