//! Routes of the notification service.

use crate::{
    Policy::{self, Open, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC {
        /// A page of the user's notifications, newest first.
        LIST = Get "/api/v1/notifications" User;
        /// Marks several of the user's notifications as read, or all of them.
        MARK_MANY = Patch "/api/v1/notifications/read" User;
        /// Marks a notification as read; idempotent.
        MARK = Patch "/api/v1/notifications/{id}/read" User;
        /// The picture that a mail loads when it is opened; the same for an unknown mail.
        TRACK = Get "/api/v1/notifications/track/{id}" Open;
        /// Creates a notification of a user.
        CREATE = Post "/api/v1/admin/notifications" Policy::ADMIN;
        /// A page of the notifications of all users, newest first.
        LIST_ALL = Get "/api/v1/admin/notifications" Policy::ADMIN;
        /// A template of mails, filled with a sample.
        PREVIEW = Get "/api/v1/admin/notifications/preview/{template}" Policy::ADMIN;
        /// A page of the messages and mails that were given up, newest first.
        LIST_DEAD = Get "/api/v1/admin/dead-letters" Policy::ADMIN;
        READ_DEAD = Get "/api/v1/admin/dead-letters/{id}" Policy::ADMIN;
        /// Sends the message or the mail again.
        REPLAY_DEAD = Post "/api/v1/admin/dead-letters/{id}/replay" Policy::ADMIN;
        /// Sets it aside for good.
        DISCARD_DEAD = Post "/api/v1/admin/dead-letters/{id}/discard" Policy::ADMIN;
    }
}
