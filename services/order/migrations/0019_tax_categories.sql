-- The delivery of an order is taxed by a rule of its own. Processes of the release before take each rule for one of goods: a
-- rule of shipping is to be created once none of them runs.
alter table tax_rule
    add column category text not null default 'goods',
    drop constraint tax_rule_pk,
    add constraint tax_rule_pk primary key (country, category),
    add constraint tax_rule_category_known check (category in ('goods', 'shipping'));
