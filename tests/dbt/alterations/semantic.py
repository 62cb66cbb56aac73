"""KPIs and the scorecard."""

from __future__ import annotations

from tests.dbt.alterations import Alterations

RECORDS = ""

SCORECARD = "marts.kpi_scorecard"

ALTERATIONS: Alterations = {
    "assert_kpi_targets_can_be_judged": [
        ("update seeds.kpi_targets set direction = 'sideways' where kpi = 'orders'", ""),
        ("update seeds.kpi_targets set tolerance_share = -0.1 where kpi = 'orders'", ""),
        ("update seeds.kpi_targets set lag_months = -1 where kpi = 'orders'", ""),
        ("update seeds.kpi_targets set dimension_value = 'web' where kpi = 'orders'", ""),
        ("update seeds.kpi_targets set dimension = 'all' where kpi = 'orders'", ""),
        ("insert into seeds.kpi_targets from seeds.kpi_targets where kpi = 'orders'", ""),
    ],
    "assert_every_kpi_stands_in_every_month": [
        (f"delete from {SCORECARD} where kpi = 'orders' and kpi_month = '2023-04-01'", ""),
        (f"delete from {SCORECARD} where kpi = 'retention_month_3'", ""),
        (f"update {SCORECARD} set value = value + 1 where kpi = 'orders'", ""),
        (f"update {SCORECARD} set value = 0 where kpi = 'people_in_stage' and dimension_value = 'lapsed'", ""),
    ],
    "assert_kpi_values_equal_the_marts": [
        ("update marts.kpi_values set value = value + 0.01 where metric_name = 'net_revenue' and value > 500", ""),
        ("update marts.kpi_values set value = value + 1 where metric_name = 'orders' and value = 2", ""),
        ("delete from marts.kpi_values where metric_name = 'people_in_stage' and dimension_value = 'lapsed'", ""),
        (
            "update marts.kpi_values set numerator = numerator + 1"
            " where metric_name = 'churn_rate' and dimension = 'persona'",
            "",
        ),
    ],
}
