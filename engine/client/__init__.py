"""A typed client of GasInSight's REST and websockets, for programs and notebooks. Needs httpx, websockets, pydantic.

    async with GasInSight("https://gas.example.org", "ann@example.org", password) as gis:
        for facility in await gis.facilities():
            print(facility.name)

It knows the wire contract and nothing of the server: this folder can be copied into another project as it stands.
docs/client.md shows it in use.

May import: nothing.
"""

from engine.client.admin import Admin
from engine.client.alarm_shapes import (
    Alarm,
    AlarmCounts,
    AlarmFrame,
    AlarmWithHistory,
    Commanded,
    Incident,
    IncidentMember,
    IncidentWithMembers,
    JournalEntry,
)
from engine.client.alarms import Alarms
from engine.client.asking import Part
from engine.client.detection import Detection
from engine.client.errors import (
    ClientError,
    NotFound,
    NotPermitted,
    NotSignedIn,
    Refused,
    ServerAway,
    ServerError,
    ServerFailed,
    TooManyRequests,
    Unusable,
)
from engine.client.figure_shapes import (
    AlarmTally,
    Figures,
    FiguresOfDay,
    Flood,
    Measure,
    Offender,
    Spread,
)
from engine.client.gasinsight import GasInSight
from engine.client.groups import Groups
from engine.client.report_shapes import FiguresReport, Handover, MonthlyReport, ReportEntry, ShiftNote
from engine.client.reports import Reports
from engine.client.shapes import (
    Alert,
    AlertWithDetails,
    Analytics,
    ApiKey,
    ChartEntry,
    Contributor,
    Dashboard,
    DetectionInForce,
    DetectionSettings,
    Explanation,
    Facility,
    FacilityDetection,
    FacilityGroups,
    Gap,
    GroupsVersion,
    KeyGrant,
    LiveAlert,
    Location,
    Permission,
    Problem,
    Reading,
    Record,
    Records,
    Sensor,
    SensorDetection,
    StoredReading,
    Tokens,
    TypeDetection,
    User,
    ViewSays,
)

__all__ = [
    "Admin",
    "Alarm",
    "AlarmCounts",
    "AlarmFrame",
    "AlarmTally",
    "AlarmWithHistory",
    "Alarms",
    "Alert",
    "AlertWithDetails",
    "Analytics",
    "ApiKey",
    "ChartEntry",
    "ClientError",
    "Commanded",
    "Contributor",
    "Dashboard",
    "Detection",
    "DetectionInForce",
    "DetectionSettings",
    "Explanation",
    "Facility",
    "FacilityDetection",
    "FacilityGroups",
    "Figures",
    "FiguresOfDay",
    "FiguresReport",
    "Flood",
    "Gap",
    "GasInSight",
    "Groups",
    "GroupsVersion",
    "Handover",
    "Incident",
    "IncidentMember",
    "IncidentWithMembers",
    "JournalEntry",
    "KeyGrant",
    "LiveAlert",
    "Location",
    "Measure",
    "MonthlyReport",
    "NotFound",
    "NotPermitted",
    "NotSignedIn",
    "Offender",
    "Part",
    "Permission",
    "Problem",
    "Reading",
    "Record",
    "Records",
    "Refused",
    "ReportEntry",
    "Reports",
    "Sensor",
    "SensorDetection",
    "ServerAway",
    "ServerError",
    "ServerFailed",
    "ShiftNote",
    "Spread",
    "StoredReading",
    "Tokens",
    "TooManyRequests",
    "TypeDetection",
    "Unusable",
    "User",
    "ViewSays",
]
