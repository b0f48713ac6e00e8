"""What the surface `falcon` keeps while it is served: its rule, its prices, its counts."""

from __future__ import annotations

from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from kenspeckle import __version__
from kenspeckle._extras import has
from kenspeckle.adapters.prices import PriceBook, Priced, open_prices
from kenspeckle.flows.masks import Finder, Fixed, nothing, quads
from kenspeckle.gallery import Gallery
from kenspeckle.serve.routes import falcon_schemas as schemas
from kenspeckle.serve.routes.falcon_names import Names, address_of, name_of
from kenspeckle.serve.routes.falcon_rule import Deciding, described, thresholds
from kenspeckle.serve.service import Service
from kenspeckle.types import Calibration, Reference


class Falcon:
    """The state of the surface, one for a service, however many ports it is on.

    `find` says where in a picture things are. `served` counts the frames that were answered.
    """

    _made: ClassVar[WeakKeyDictionary[Service, Falcon]] = WeakKeyDictionary()

    def __init__(self, gallery: Gallery, *, find: Finder = quads) -> None:
        self.gallery, self.find, self.served = gallery, find, 0
        self.deciding = Deciding(gallery)
        self.prices: PriceBook = open_prices(gallery.settings)
        self.names = Names(gallery)

    @classmethod
    def of(cls, service: Service) -> Falcon:
        """The state of a service's surface, made when it is first asked for.

        What it goes without is a remark about the start of the service.
        """
        found = cls._made.get(service)
        if found is None:
            asked = service.settings.serve.detector
            found = cls._made[service] = cls(service.gallery(), find=quads if asked else nothing)
            if found.prices.note:
                service.notes.append(f"Prices: {found.prices.note}.")
            if asked and not has("cv2"):
                service.notes.append(
                    "falcon: at most one thing in a picture; more needs the extra 'geometry'."
                )
        return found

    def health(self) -> dict[str, Any]:
        """The fields of `/health` that clients of the replaced service read, but for the phase and
        the model, and by which rule it decides."""
        rule = self.deciding.now(self.gallery.store)
        similarity, margin = thresholds(rule)
        return {
            "index_size": len(self.gallery),
            "has_projection": bool(self.gallery.store.manifest.fingerprint.head),
            "has_yolo": False,
            "sim_threshold": similarity,
            "margin_threshold": margin,
            "requests_served": self.served,
            "last_query": "",
            "decides": self._decides(rule),
            "prices": self._prices().model_dump(),
            "fx": self.fx().model_dump(),
        }

    def info(self) -> schemas.Info:
        """What this server is."""
        return schemas.Info(
            version=__version__,
            index_size=len(self.gallery),
            items=self.gallery.store.counts()[0],
            decides=self._decides(self.deciding.now(self.gallery.store)),
            prices=self._prices(),
            fx=self.fx(),
        )

    def fx(self) -> schemas.Fx:
        """The rate of exchange in use, for the currency of the prices, else for yen."""
        rates, currency = self.prices.rates, self.prices.file.currency
        shown = currency if len(self.prices) else "JPY"
        rate = 1.0 if shown == "USD" else rates.usd.get(shown)
        return schemas.Fx(rate=rate, currency=shown, as_of=rates.as_of, source=rates.source)

    def top(self, limit: int, root: str) -> schemas.TopPrices:
        """The dearest cards, called as their references are; `root` is the path of the surface."""
        dearest = self.prices.top(limit)
        cards = self.names.first_of(one.code for one in dearest)
        rows = [self._row(one, cards.get(one.code), root) for one in dearest]
        return schemas.TopPrices(count=len(rows), top=rows, fx=self.fx())

    def _row(self, one: Priced, reference: Reference | None, root: str) -> schemas.Top:
        yen = self.prices.rates.in_jpy(one.median, one.currency)
        row = schemas.Top(
            code=one.code,
            jpy_median=yen or 0,
            usd_median=one.usd[0],
            median=one.median,
            currency=one.currency,
            name_jp=one.price.name_jp,
            rarity=one.rarity,
        )
        if reference is not None:
            row.name = reference.label
            row.ref_filename, row.ref_url = name_of(reference), address_of(reference, root)
        return row

    def _decides(self, rule: Fixed | Calibration) -> dict[str, Any]:
        return {**described(rule, self.gallery.stale), "note": self.deciding.note}

    def _prices(self) -> schemas.Prices:
        book, file = self.prices, self.prices.file
        return schemas.Prices(
            count=len(book),
            site=file.site,
            currency=file.currency,
            scraped_at=file.scraped_at,
            note=book.note,
        )
