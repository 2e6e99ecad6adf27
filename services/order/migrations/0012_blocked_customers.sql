-- Whether an administrator has blocked the user. Users who were blocked before have no session that can still order.
alter table customer add column blocked boolean not null default false;
