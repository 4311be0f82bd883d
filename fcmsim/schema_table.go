package fcmsim

import "slices"

// The messages of FCM's v1 API as they stood in revision 20261023 of its
// discovery document (docs/fcm-http.md, Schema). The table is the simulator's
// own: a mistake in the one that senders use must not hide here.
var (
	sendRequestType = message("SendMessageRequest", slices.Concat(
		[]*fieldType{sub("message", messageV1Type)},
		of(kindBool, "validate_only"),
	)...)

	messageV1Type = message("Message", slices.Concat(
		of(kindString, "name"),
		of(kindStringMap, "data"),
		[]*fieldType{
			sub("notification", notificationType),
			sub("android", androidType),
			sub("android_v2", androidV2Type),
			sub("webpush", webpushType),
			sub("apns", apnsType),
			sub("fcm_options", fcmOptionsType),
			{name: "fid", oneof: "target"},
			{name: "token", oneof: "target"},
			{name: "topic", oneof: "target"},
			{name: "condition", oneof: "target"},
		},
	)...)

	subscriptionType = message("TopicSubscription", slices.Concat(
		of(kindString, "name", "topic_name"),
		of(kindTimestamp, "create_time"),
	)...)

	notificationType = message("Notification", of(kindString, "title", "body", "image")...)

	// The options of common, Android, and data messages have one field alike.
	fcmOptionsType        = message("FcmOptions", of(kindString, "analytics_label")...)
	androidFcmOptionsType = message("AndroidFcmOptions", of(kindString, "analytics_label")...)

	androidType = message("AndroidConfig", slices.Concat(
		of(kindString, "collapse_key", "restricted_package_name"),
		of(kindDuration, "ttl"),
		of(kindStringMap, "data"),
		of(kindBool, "direct_boot_ok", "bandwidth_constrained_ok", "restricted_satellite_ok"),
		[]*fieldType{
			enumOf("priority", &enumType{"AndroidMessagePriority", []string{"NORMAL", "HIGH"}}),
			sub("notification", androidNotificationType),
			sub("fcm_options", androidFcmOptionsType),
		},
	)...)

	androidV2Type = message("AndroidConfigV2", slices.Concat(
		of(kindString, "collapse_key", "restricted_package_name"),
		of(kindDuration, "ttl"),
		of(kindStringMap, "data"),
		of(kindBool, "direct_boot_ok", "bandwidth_constrained_ok", "restricted_satellite_ok"),
		[]*fieldType{
			sub("fcm_options", androidFcmOptionsType),
			sub("background_sync", message("AndroidBackgroundSync")),
			sub("remote_notification", message("AndroidRemoteNotification", slices.Concat(
				of(kindBool, "mutable_content", "use_as_v1_data_message"),
				[]*fieldType{sub("notification", androidNotificationV2Type)},
			)...)),
		},
	)...)

	// What both notifications of Android have.
	androidNotificationFields = slices.Concat(
		of(kindString, "title", "body", "image", "icon", "color", "sound", "tag", "click_action",
			"body_loc_key", "title_loc_key", "channel_id", "ticker"),
		listOf(kindString, "body_loc_args", "title_loc_args"),
		of(kindBool, "sticky", "local_only", "default_sound", "default_vibrate_timings", "default_light_settings"),
		of(kindTimestamp, "event_time"),
		listOf(kindDuration, "vibrate_timings"),
		of(kindInt32, "notification_count"),
		[]*fieldType{sub("light_settings", lightSettingsType)},
	)

	androidNotificationType = message("AndroidNotification", slices.Concat(
		androidNotificationFields,
		androidNotificationEnums("AndroidNotification"),
		of(kindBool, "bypass_proxy_notification"),
		[]*fieldType{
			enumOf("proxy", &enumType{"AndroidNotification.Proxy", []string{
				"PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED",
			}}),
		},
	)...)

	androidNotificationV2Type = message("AndroidNotificationV2", slices.Concat(
		androidNotificationFields,
		androidNotificationEnums("AndroidNotificationV2"),
		of(kindInt32, "id"),
	)...)

	lightSettingsType = message("LightSettings", slices.Concat(
		[]*fieldType{sub("color", message("google.type.Color", of(kindFloat, "red", "green", "blue", "alpha")...))},
		of(kindDuration, "light_on_duration", "light_off_duration"),
	)...)

	apnsType = message("ApnsConfig", slices.Concat(
		of(kindStringMap, "headers"),
		of(kindStruct, "payload"),
		of(kindString, "live_activity_token"),
		[]*fieldType{sub("fcm_options", message("ApnsFcmOptions", of(kindString, "analytics_label", "image")...))},
	)...)

	webpushType = message("WebpushConfig", slices.Concat(
		of(kindStringMap, "headers", "data"),
		of(kindStruct, "notification"),
		[]*fieldType{sub("fcm_options", message("WebpushFcmOptions", of(kindString, "link", "analytics_label")...))},
	)...)
)

// androidNotificationEnums are those that both notifications of Android have, each
// under its own name.
func androidNotificationEnums(message string) []*fieldType {
	return []*fieldType{
		enumOf("notification_priority", &enumType{message + ".NotificationPriority", []string{
			"PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX",
		}}),
		enumOf("visibility", &enumType{message + ".Visibility", []string{
			"VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET",
		}}),
	}
}
