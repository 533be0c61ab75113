"""A trainable whose Config has fields of many types and rules, for tests of spaces."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, NewType

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, model_validator
from typing_extensions import TypeAliasType

from trainables.contract import InnerParameter, Metric, Trainable

Count = NewType("Count", int)
Alias = TypeAliasType("Alias", PositiveInt | None)


class Mode(enum.Enum):
    """Enumeration of names."""

    FAST = "fast"
    SLOW = "slow"


class Size(enum.IntEnum):
    """Enumeration of numbers."""

    SMALL = 1
    LARGE = 4


def _refuse_odd(value: int) -> int:
    if value % 2:
        raise ValueError("the number is even")
    return value


class Network(BaseModel):
    """Section with a rule on two of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[int, ...] | None = Field((64, 64), description="sizes of layers")
    width: int = Field(8, ge=1, le=64, description="width")
    heads: int = Field(1, ge=0, le=64, description="heads")

    @model_validator(mode="after")
    def _check_heads(self) -> Network:
        if self.width % self.heads:  # raises ZeroDivisionError for 0
            raise ValueError(f"width is a multiple of heads, got {self.width} and {self.heads}")
        return self


class Config(BaseModel):
    """Fields of many types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    net: Network = Network()
    x: float = Field(0.5, ge=0, le=1, description="position")
    maybe: float | None = None
    text: str = "a"
    flag: bool = False
    flag_or_none: bool | None = None
    flag_or_number: bool | int | float = False
    name: Literal["a", "b"] = "a"
    power: Literal[1, 2, 4] = 2
    mode: Mode = Mode.FAST
    size: Size = Size.SMALL
    n: int = Field(7, ge=1, le=100)
    count: Count = Count(3)
    alias: Alias = 5
    n_or_none: Annotated[int, Field(ge=1)] | None = None
    n_or_auto: PositiveInt | Literal["auto"] = "auto"
    x_or_auto: float | Literal["auto"] = "auto"
    rounded: Annotated[float, AfterValidator(round)] = 2.0
    parsed: Annotated[int, BeforeValidator(lambda value: value)] = 2
    exact: Decimal = Decimal(1)
    anything: Any = None
    eight: int = Field(8, multiple_of=8)
    even: Annotated[int, AfterValidator(_refuse_odd)] = 2
    sizes: tuple[int, ...] = (1, 2)


class Model(Trainable):
    """Trainable that learns nothing."""

    Config: ClassVar[Any] = Config
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("score", "maximize", "a score", headline=True),)
    inner: ClassVar[tuple[InnerParameter, ...]] = ()

    def __init__(self, config: Any, data: Any, *, device: str, seed: int, epochs: int) -> None:
        del data, device, seed, epochs
        self.config, self.epoch = config, 0

    def train_epoch(self) -> dict[str, float]:
        """Count the epoch."""
        self.epoch += 1
        return {}

    def evaluate(self, split: str, params_grid: Any) -> list[dict[str, float]]:
        """Return a score that grows with the epoch."""
        del split
        return [{"score": self.epoch - abs(self.config.x - 0.3)} for _ in params_grid]

    def state(self) -> dict[str, Any]:
        """Return the epoch."""
        return {"epoch": self.epoch}

    def load_state(self, state: Any) -> None:
        """Continue from an epoch."""
        self.epoch = state["epoch"]

    def weights(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_weights(self, weights: Any) -> None:
        """Load nothing."""


class ObjectConfig(Config):
    """Fields of many types, one of which has a default that no file can contain."""

    thing: Any = Field(default_factory=object)


class ObjectModel(Model):
    """Trainable with a default that is an object."""

    Config: ClassVar[Any] = ObjectConfig


class RequiredConfig(BaseModel):
    """Fields without defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: float = Field(ge=0, le=1)
    net: Network
    y: float = 0.5


class RequiredModel(Model):
    """Trainable whose Config has fields without defaults."""

    Config: ClassVar[Any] = RequiredConfig
