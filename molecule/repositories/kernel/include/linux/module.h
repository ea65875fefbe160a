/* As much of the kernel's header as carries a module's description into its file. Nothing that is made with it can be loaded. */
#ifndef STAND_IN_MODULE_H
#define STAND_IN_MODULE_H
#include <linux/vermagic.h>

#define __init
#define __exit
#define THIS_MODULE ((void *)0)
#define STAND_IN_JOIN(a, b) a##b
#define STAND_IN_NAME(line) STAND_IN_JOIN(stand_in_info_, line)
#define MODULE_INFO(tag, text) \
	static const char STAND_IN_NAME(__COUNTER__)[] __attribute__((section(".modinfo"), used, aligned(1))) = #tag "=" text
#define MODULE_DESCRIPTION(text) MODULE_INFO(description, text)
#define MODULE_LICENSE(text) MODULE_INFO(license, text)
#define MODULE_VERSION(text) MODULE_INFO(version, text)
#define module_init(function) int init_module(void) __attribute__((alias(#function)))
#define module_exit(function) void cleanup_module(void) __attribute__((alias(#function)))
#define pr_info(...) do { } while (0)

MODULE_INFO(name, MODULE_NAME);
MODULE_INFO(vermagic, VERMAGIC);
#endif
