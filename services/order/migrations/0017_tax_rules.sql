-- Taxes that the prices include, by the country that an order goes to.
create table tax_rule (
    country text not null,
    basis_points integer not null,
    rounding text not null,
    active boolean not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint tax_rule_pk primary key (country),
    constraint tax_rule_country_format check (country ~ '^[A-Z]{2}$'),
    constraint tax_rule_basis_points_known check (basis_points between 0 and 10000),
    constraint tax_rule_rounding_known check (rounding in ('half_up', 'half_even'))
);
