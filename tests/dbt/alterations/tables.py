"""The tables that more than one family alters."""

from __future__ import annotations

HISTORY, C360 = "marts.customer_lifecycle_history", "marts.customer_360"
SEGMENTS = "segments.segment_history"
SCHEMES, SCHEME_STAGES = "seeds.lifecycle_schemes", "marts.customer_scheme_stages"
DAILY, FLOWS, SURVIVAL = "marts.lifecycle_stage_daily", "marts.lifecycle_stage_flows", "marts.lifecycle_stage_survival"
ACTIVITY = "intermediate.int_activity_states"
FIELDS, PROFILES = "intermediate.int_customer_fields", "intermediate.int_customer_profiles"
