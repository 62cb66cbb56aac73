"""The days of a demo company: its window, its seasons, its clocks.

Belongs here: days as numbers from the first day of the window, local time to UTC, and the operational clock that makes
busy days longer than quiet ones.
Does not belong here: what happens on a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from lifecycle.synthetic.columns import DAY_SECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EPOCH = date(1970, 1, 1)

WEEKDAY_WEIGHTS = (0.94, 0.92, 0.94, 0.98, 1.10, 1.16, 0.96)
"""Monday to Sunday, mean 1. Invented."""

MONTH_WEIGHTS = (0.88, 0.86, 0.93, 0.95, 0.99, 0.97, 0.94, 0.96, 0.98, 1.02, 1.20, 1.32)
"""January to December, mean 1: a retailer's year with its peak before Christmas. Invented."""

HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 6, 12, 18, 24, 28, 30, 34, 30, 26, 26, 28, 32, 40, 48, 50, 40, 22, 8)
"""How active people are in the hours of their own day. Invented."""


@dataclass(frozen=True)
class Calendar:
    """``day_count`` days that end with ``end``, inclusive. Day 0 is the first, times are seconds since 1970 in UTC."""

    end: date
    day_count: int
    has_seasons: bool

    @property
    def start(self) -> date:
        return self.end - timedelta(days=self.day_count - 1)

    @property
    def start_number(self) -> int:
        """The first day as days since 1970."""
        return (self.start - EPOCH).days

    @property
    def start_second(self) -> int:
        return self.start_number * DAY_SECONDS

    @property
    def end_second(self) -> int:
        """The first second after the window."""
        return self.start_second + self.day_count * DAY_SECONDS

    @cached_property
    def months(self) -> list[date]:
        """The first day of each calendar month that the window touches."""
        found = [self.start.replace(day=1)]
        while (following := (found[-1] + timedelta(days=32)).replace(day=1)) <= self.end:
            found.append(following)
        return found

    def month_of(self, seconds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position in ``months`` of each moment's UTC month; moments outside count to the nearest."""
        import numpy as np

        starts = np.array([(month - EPOCH).days * DAY_SECONDS for month in self.months[1:]], dtype=np.int64)
        return np.searchsorted(starts, seconds, side="right")

    @cached_property
    def _clock(self) -> NDArray[np.float64]:
        """Operational time at the middle of each day: the mean of a day's length is 1 over whole years."""
        import numpy as np

        days = [self.start + timedelta(days=number) for number in range(self.day_count)]
        if not self.has_seasons:
            return np.arange(self.day_count, dtype=np.float64)
        lengths = [WEEKDAY_WEIGHTS[day.weekday()] * MONTH_WEIGHTS[day.month - 1] for day in days]
        return np.concatenate([[0.0], np.cumsum(lengths)[:-1]])

    def operational(self, days: NDArray[Any]) -> NDArray[np.float64]:
        """The operational time of days (whole numbers within the window)."""
        times: NDArray[np.float64] = self._clock[days]
        return times

    def real(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """The day, with its fraction, of an operational time within the window."""
        import numpy as np

        return np.interp(times, self._clock, np.arange(self.day_count))

    def offsets(self, zones: tuple[str, ...]) -> NDArray[np.int64]:
        """Seconds that each zone is ahead of UTC, per zone and UTC hour, from the day before the window to the next."""
        import numpy as np

        begin = datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC) - timedelta(days=1)
        table = np.empty((len(zones), (self.day_count + 2) * 24), dtype=np.int64)
        for row, name in enumerate(zones):
            zone = ZoneInfo(name)
            before = _ahead(begin, zone)
            for day in range(self.day_count + 2):
                moment = begin + timedelta(days=day)
                after = _ahead(moment + timedelta(days=1), zone)
                hours = slice(day * 24, day * 24 + 24)
                table[row, hours] = before
                if after != before:
                    table[row, hours] = [_ahead(moment + timedelta(hours=hour), zone) for hour in range(24)]
                before = after
        return table


def _ahead(moment: datetime, zone: ZoneInfo) -> int:
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds())


@dataclass(frozen=True)
class Clocks:
    """Local time in the zones of a company."""

    calendar: Calendar
    zones: tuple[str, ...]

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return self.calendar.offsets(self.zones)

    def to_local(self, seconds: NDArray[np.int64], zone: NDArray[Any] | int) -> NDArray[np.int64]:
        """What clocks in a zone show; one outside the window shows the offset of its nearest hour."""
        import numpy as np

        hour = (seconds - self.calendar.start_second) // 3600 + 24
        local: NDArray[np.int64] = seconds + self._offsets[zone, np.clip(hour, 0, self._offsets.shape[1] - 1)]
        return local

    def daytime(
        self,
        random: np.random.Generator,
        day: NDArray[np.int64],
        zone: NDArray[Any],
        *,
        opens: int = 0,
        closes: int = 24,
    ) -> NDArray[np.int64]:
        """A moment on each local day, at hours when people are up, from ``opens`` to before ``closes``."""
        import numpy as np

        weights = np.array(HOUR_WEIGHTS[opens:closes], dtype=np.float64)
        hour = opens + np.searchsorted(np.cumsum(weights / weights.sum()), random.random(len(day)), side="right")
        local = day * DAY_SECONDS + np.minimum(hour, closes - 1) * 3600 + random.integers(0, 3600, len(day))
        guess = self.calendar.start_second + local
        moment = guess - (self.to_local(guess, zone) - guess)
        inside: NDArray[np.int64] = np.clip(moment, self.calendar.start_second, self.calendar.end_second - 1)
        return inside
