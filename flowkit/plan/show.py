"""The whole configuration as a pipeline file: every default, every source, and where each value comes from."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from flowkit.config import Config, ProviderConfig, StageConfig
from flowkit.config.emit import Noted, to_yaml
from flowkit.config.nodes import Mapping, Node, Scalar, Sequence, Standing
from flowkit.config.schema import OF_INTERRUPT, OF_LIMITS, WHOLE
from flowkit.config.validate import keys_of
from flowkit.options import format_duration
from flowkit.plan.graph import Plan
from flowkit.plan.resolve import candidates_of
from flowkit.secrets import is_secret_name

MASK = "***"


_DEFAULT = "default"


def show(config: Config, plan: Plan, *, origin: bool = False, defaults: bool = True) -> str:
    """The configuration as YAML. It reads back to the same plan, except for secrets, which are masked, and for values
    that stay references because their variable is not set.

    Args:
        origin: a comment after each line says where its value comes from.
        defaults: also write the keys that nobody has set.
    """
    return to_yaml(_chosen(_Writer(config, plan).whole(), origin, defaults))


def _chosen(value: Any, origin: bool, defaults: bool) -> Any:
    """What the writer wrote, with or without origins and defaults."""
    if isinstance(value, Noted):
        return value if origin else Noted(value.value)
    if isinstance(value, list):
        return [_chosen(item, origin, defaults) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: below
        for key, below in value.items()
        if defaults or not (isinstance(below, Noted) and below.note == _DEFAULT)
    }
    shown = {key: _chosen(below, origin, defaults) for key, below in kept.items()}
    return {key: below for key, below in shown.items() if defaults or below != {}}


class _Writer:
    """Turns options into values, each with its origin as a comment."""

    def __init__(self, config: Config, plan: Plan) -> None:
        self.config = config
        self.plan = plan

    def whole(self) -> dict[str, Any]:
        root = self.config.root
        blocks = self.options(self.config.top.model_copy(update={"name": self.config.name}), root)
        for block, of in (("interrupt", OF_INTERRUPT), ("limits", OF_LIMITS)):
            acting = {key for kind, keys in of.items() if self.plan.only(kind) for key in keys}
            # Keys that a stage has taken over are written there. In both places they would be refused on reading.
            elsewhere = {key: value for key, value in blocks.pop(block, {}).items() if key not in acting}
            if elsewhere:
                blocks[block] = elsewhere
        for block in [block for block, kind in WHOLE.items() if self.plan.only(kind)]:
            blocks.pop(block, None)
        return {"flowkit": 1, **blocks, "stages": [self.stage(stage) for stage in self.config.stages]}

    def stage(self, stage: StageConfig) -> dict[str, Any]:
        candidates = candidates_of(stage, self.config)
        sources = dict.fromkeys(e.source for e in self.plan.edges if e.target == stage.id and e.bound)
        written: dict[str, Any] = {"kind": self.noted(stage.kind, stage.node.get("kind"))}
        if candidates:
            written["provider"] = self.noted(candidates[0].name, self.below(candidates[0].node, "provider"))
        written["id"] = self.noted(stage.id, stage.node.get("id"))
        if sources:
            written["from"] = self.noted(list(sources), stage.node.get("from"))
        if stage.cls.takes_data():
            written["queue"] = self.queue(stage)
        if stage.allow:
            written["allow"] = self.noted(sorted(stage.allow), stage.node.get("allow"))
        # Those of the plan, which hold what stages have taken over from each other.
        written |= self.options(self.plan.stage(stage.id).options, stage.node)
        if candidates:
            written |= self.provider(candidates[0])
        if len(candidates) > 1:
            written["failover"] = [self.entry(candidate) for candidate in candidates[1:]]
        return written

    def queue(self, stage: StageConfig) -> dict[str, Any]:
        node = self.below(stage.node, "queue")
        limit = "unbounded" if stage.unbounded else stage.queue.max
        shown = self.options(stage.queue, node)
        return {**shown, "max": self.noted(limit, self.below(node, "max"))}

    def entry(self, candidate: ProviderConfig) -> dict[str, Any]:
        named = self.noted(candidate.name, self.below(candidate.node, "provider"))
        return {"provider": named, **self.provider(candidate)}

    def provider(self, candidate: ProviderConfig) -> dict[str, Any]:
        """A provider's own keys and its deadlines, without those that are not set and have no default."""
        alias = self.below(candidate.node, "first_token_timeout")
        call = self.options(candidate.call, candidate.node)
        if alias is not None:
            call["first_item_timeout"] = self.noted(format_duration(candidate.call.first_item_timeout or 0), alias)
        return {**call, **self.options(candidate.options, candidate.node)}

    def options(self, model: BaseModel, node: Node | None) -> dict[str, Any]:
        """Every key of a model that has a value."""
        dumped = model.model_dump(mode="json")
        shown: dict[str, Any] = {}
        for (name, field), key in zip(type(model).model_fields.items(), keys_of(type(model)), strict=True):
            value, below = getattr(model, name), self.below(node, key)
            if value is None and not isinstance(below, Scalar):
                continue
            if isinstance(value, BaseModel):
                nested = self.options(value, below)
                if nested or field.is_required():
                    shown[key] = nested
            elif isinstance(value, (SecretStr, SecretBytes)) or (isinstance(value, str) and is_secret_name(key)):
                shown[key] = self.noted(MASK, below)
            else:
                # A number is no secret, though a duration such as `key_pause` is written as text.
                secret = is_secret_name(key) and not isinstance(value, (int, float))
                shown[key] = self.noted(_without_secrets(dumped[key], below, secret), below)
        return shown

    def below(self, node: Node | None, key: str) -> Node | None:
        return node.get(key) if isinstance(node, Mapping) else None

    def noted(self, value: Any, node: Node | None) -> Noted:
        """The value as it may be shown, with its origin."""
        if isinstance(node, Scalar) and node.standing is Standing.UNREAD:
            value = node.text
        elif isinstance(node, Scalar) and node.standing is Standing.HIDDEN:
            value = MASK
        if node is None:
            return Noted(value, _DEFAULT)
        named = isinstance(node, Scalar) and node.origin
        return Noted(value, f"{node.origin} ({node.mark})" if named and isinstance(node, Scalar) else str(node.mark))


def _without_secrets(value: Any, node: Node | None, secret: bool) -> Any:
    """A mapping or list with its secrets masked: values from files, from variables with a secret's name, and under keys
    with a secret's name. References without a value here stay."""
    if isinstance(value, dict):
        nodes = {key: entry.value for key, entry in node.entries.items()} if isinstance(node, Mapping) else {}
        return {
            key: _without_secrets(below, nodes.get(key), secret or is_secret_name(str(key)))
            for key, below in value.items()
        }
    if isinstance(value, list):
        items = node.items if isinstance(node, Sequence) and len(node.items) == len(value) else [None] * len(value)
        return [_without_secrets(below, item, secret) for below, item in zip(value, items, strict=True)]
    if isinstance(node, Scalar) and node.standing is Standing.UNREAD:
        return node.text
    hidden = isinstance(node, Scalar) and node.standing is Standing.HIDDEN
    return MASK if hidden or (secret and isinstance(value, str)) else value
