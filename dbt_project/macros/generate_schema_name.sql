{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- Folder = schema: the name stands as it is, without a prefix. -#}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
