{% test unique_key(model, columns) %}
-- Fails on every combination of the columns that stands in more than one row, and on keys with a part missing.
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
    {%- for column in columns %}
    or {{ column }} is null
    {%- endfor %}
{% endtest %}
