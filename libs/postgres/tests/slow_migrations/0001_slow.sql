-- Takes longer than the limit that the test gives to the login.
select pg_sleep(1.5);
