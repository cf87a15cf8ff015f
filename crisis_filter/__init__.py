"""crisis-filter: notices who is in a behavioural-health crisis in the text messages people send to a health platform.

    from crisis_filter import FilterSpec, open_filter

    with open_filter(FilterSpec()) as crisis_filter:        # the embedded engine: no key, no network
        assessment = crisis_filter.classify("i cant do this anymore, ive written the letters")
        print(assessment.outcome, [f.category for f in assessment.findings])

A screening aid for people to act on: not a medical device, not a diagnosis, not an emergency service.
"""

from crisis_filter.errors import AssetError, BackendError, ConfigurationError, CrisisFilterError, InputError
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import (
    Assessment,
    Disposition,
    Evidence,
    Fault,
    Finding,
    Message,
    Provenance,
    Resource,
    Screening,
)
from crisis_filter.settings import filter_spec

__all__ = [
    "Assessment",
    "AssetError",
    "BackendError",
    "ConfigurationError",
    "CrisisFilter",
    "CrisisFilterError",
    "Disposition",
    "Evidence",
    "Fault",
    "FilterSpec",
    "Finding",
    "InputError",
    "Message",
    "Provenance",
    "Resource",
    "Screening",
    "filter_spec",
    "open_filter",
]
