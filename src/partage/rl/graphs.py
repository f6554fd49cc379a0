"""Parts of training that a card plays from a graph: captured once, then started in one launch.

A graph computes again what was captured, in the same memory. What the host decides anew each time
(noise, which episodes to learn from, which runs take part) is fed to it: `from_host` notes how it
is made, and before every replay it is made again, in the same order, and copied to the card without
waiting. So the draws are those of the CPU, number for number. What the host keeps and seldom moves,
as who shares with whom, is looked at before every replay (`before_replay`). On the CPU there are no
graphs: a part is a function that is called. All calls of torch's for graphs and streams are here.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Generator, Tensor

WARM_UP = 2  # calls before the capture: libraries and optimisers take their memory in them
ResultT = TypeVar("ResultT")


class Feed:
    """What the host makes anew for each call of a part, and where it lies on the card."""

    def __init__(self, made: Tensor, device: torch.device) -> None:
        self.there = torch.empty_like(made, device=device)
        self.make: Callable[[], Tensor] = lambda: made
        self.first: Tensor | None = None  # made in the capture, for the replay that follows it
        # where it lies on its way, and torch's event of when it has left
        self.pinned: Tensor | None = None
        self.left: Any = None
        self.generators: Sequence[Generator] = ()  # that making it moves on
        # where they were, if it has been made and sent ahead of its part's next call
        self.before: list[Tensor] | None = None

    def takes(self, made: Tensor) -> bool:
        """Return whether its memory is of that kind."""
        return self.there.shape == made.shape and self.there.dtype == made.dtype

    def send(self, made: Tensor) -> None:
        """Copy what was made to the card, without waiting for it."""
        if self.there.device.type != "cuda":
            self.there.copy_(made)
            return
        if self.pinned is None or not self.left.query():
            self.pinned, self.left = made.pin_memory(), torch.cuda.Event()
        else:
            self.pinned.copy_(made)
        self.there.copy_(self.pinned, non_blocking=True)
        self.left.record()

    def renew(self) -> None:
        """Make it anew, and send it, unless that is done already."""
        if self.before is not None:
            self.before = None
            return
        first, self.first = self.first, None
        self.send(self.make() if first is None else first)

    def renew_ahead(self) -> None:
        """Make what is drawn, and send it, ahead of its part's next call."""
        if self.generators and self.before is None:
            before = [generator.get_state() for generator in self.generators]
            self.renew()
            self.before = before

    def take_back(self) -> None:
        """Have not drawn ahead."""
        if self.before is not None:
            for generator, state in zip(self.generators, self.before, strict=True):
                generator.set_state(state)
            self.before = None


class Place:
    """Where the part that is being called computes, and what is fed to it."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.capturing = device, False
        self.feeds: list[Feed] = []
        self.looks: list[Callable[[], bool]] = []  # of `before_replay`
        self.next = 0  # the feed that the part asks for next

    def feed(self, make: Callable[[], Tensor], generators: Sequence[Generator] = ()) -> Tensor:
        """Return the part's next feed, on the device.

        Its memory is taken in the first call: what is taken in a capture is the graph's to reuse.
        """
        made = make()
        known = self.next < len(self.feeds) and self.feeds[self.next].takes(made)
        if not known:
            if self.capturing:
                raise RuntimeError("a part asks for more when it is captured than it did before")
            self.feeds[self.next :] = [Feed(made, self.device)]
        feed = self.feeds[self.next]
        self.next += 1
        feed.make, feed.generators = make, generators
        if self.capturing:
            feed.first = made
        else:
            feed.send(made)
        return feed.there


_here: list[Place] = []  # of the part that is being called, if one is


def from_host(make: Callable[[], Tensor], generators: Sequence[Generator] = ()) -> Tensor:
    """Return what `make` makes on the CPU: within a part, on its device, and anew at each replay.

    `make` must not read what the part computes. What reads nothing at all but these generators may
    be made ahead of the next replay.
    """
    return _here[-1].feed(make, generators) if _here else make()


def before_replay(look: Callable[[], bool]) -> None:
    """Within a part: have `look` called before each later call, to bring up to date what it reads.

    Where it returns False the part computes otherwise by now, and is captured anew.
    """
    if _here:
        _here[-1].looks.append(look)


def prepare(device: torch.device) -> None:
    """Leave the default stream, where nothing can be captured; once in a process."""
    if device.type != "cuda" or torch.cuda.current_stream(device).cuda_stream:
        return
    before, own = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    own.wait_stream(before)
    torch.cuda.set_stream(own)


@contextmanager
def _computing(place: Place) -> Iterator[None]:
    """Say where a part computes.

    Torch's deterministic ways of indexing wait for the card: a part indexes places that differ.
    """
    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    place.next, place.looks = 0, []
    _here.append(place)
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        _here.pop()
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)


class Part(Generic[ResultT]):
    """A function without arguments, of tensors that keep their memory.

    On a card it is called a few times and then captured, if it can be (`captured`); its results lie
    in the same memory from call to call.
    """

    def __init__(
        self, function: Callable[[], ResultT], device: torch.device, captured: bool = True
    ) -> None:
        self.function, self.device = function, device
        self.captured = captured and device.type == "cuda"
        self.calls, self.place = 0, Place(device)
        self.graph: Any = None  # torch's

    def __call__(self) -> ResultT:
        """Return the function's result."""
        if self.device.type == "cpu":
            return self.function()
        if not all([look() for look in self.place.looks]):
            self.take_back()
            self.graph, self.calls = None, 0
        self.calls += 1
        if not self.captured or self.calls <= WARM_UP:
            with _computing(self.place):
                return self.function()
        graph = self.graph or self._capture()
        for feed in self.place.feeds:
            feed.renew()
        graph.replay()
        return self.result

    def draw_ahead(self) -> None:
        """Draw what the next call is fed, while the card computes and the host would wait."""
        if self.graph is not None:
            for feed in self.place.feeds:
                feed.renew_ahead()

    def take_back(self) -> None:
        """Have not drawn ahead: generators are where the last call left them."""
        for feed in reversed(self.place.feeds):
            feed.take_back()

    def _capture(self) -> Any:
        """Capture the function: nothing is computed yet."""
        torch.cuda.synchronize(self.device)
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        self.place.capturing = True
        with (
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
            _computing(self.place),
        ):
            self.result = self.function()
        self.place.capturing = False
        self.graph = graph
        return graph


def _first(given: Any) -> Sequence[Tensor]:
    return given[:1]


class PartOf(Generic[ResultT]):
    """A part that is given what another part has made: it is another one where that lies elsewhere.

    `of` are the tensors that tell where all that is given lies: of a tuple the first.
    """

    def __init__(
        self,
        function: Callable[[Any], ResultT],
        device: torch.device,
        captured: bool = True,
        of: Callable[[Any], Sequence[Tensor]] = _first,
    ) -> None:
        self.function, self.device, self.captured, self.of = function, device, captured, of
        self.last: Sequence[Tensor] = ()
        self.part: Part[ResultT] | None = None

    def __call__(self, given: Any) -> ResultT:
        """Return the function's result."""
        if self.device.type == "cpu":
            return self.function(given)
        now = self.of(given)
        same = len(now) == len(self.last) and all(map(operator.is_, now, self.last))
        if self.part is None or not same:
            self.last = now
            self.part = Part(partial(self.function, given), self.device, self.captured)
        return self.part()
