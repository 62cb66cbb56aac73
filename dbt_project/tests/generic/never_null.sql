{% test never_null(model, columns) %}
-- Fails on every row in which one of the columns is empty: one test for a table, where not_null would be one each.
select {{ columns | join(', ') }}
from {{ model }}
where {{ columns | join(' is null or ') }} is null
{% endtest %}
