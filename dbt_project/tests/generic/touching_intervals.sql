{% test touching_intervals(model, entity, may_have_gaps=false) %}
-- Fails on intervals of one entity that are empty, overlap, or (unless they may) leave a gap, and on an entity with
-- more than one open interval or, where gaps are not allowed, with none.
with

intervals as (
    select
        {{ entity | join(', ') }},
        valid_from_at,
        valid_to_at,
        lead(valid_from_at) over (
            partition by {{ entity | join(', ') }} order by valid_from_at asc nulls last
        ) as next_valid_from_at
    from {{ model }}
)

select *
from intervals
where valid_to_at <= valid_from_at
    or (next_valid_from_at is not null and (valid_to_at is null or valid_to_at > next_valid_from_at))
    {%- if not may_have_gaps %}
    or (next_valid_from_at is not null and valid_to_at < next_valid_from_at)
    or (next_valid_from_at is null and valid_to_at is not null)
    {%- endif %}
{% endtest %}
