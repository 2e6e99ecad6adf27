-- Deletes the waiting mails of users ($1).
delete from mail_queue
where notification_id = any (array(
    select n.id from notification as n where n.user_id = any ($1)
))
