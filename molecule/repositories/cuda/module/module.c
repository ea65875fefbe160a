/* Stands for @NAME@.ko of NVIDIA's driver @VERSION@: it bears the name and the version, and drives nothing. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>

static int __init stand_in_init(void)
{
	pr_info("NVRM: loading NVIDIA UNIX Kernel Module  @VERSION@  (stand-in)\n");
	return 0;
}

static void __exit stand_in_exit(void)
{
}

module_init(stand_in_init);
module_exit(stand_in_exit);
MODULE_DESCRIPTION("stand-in for a kernel module of NVIDIA's driver");
MODULE_LICENSE("@LICENSE@");
MODULE_VERSION("@VERSION@");
