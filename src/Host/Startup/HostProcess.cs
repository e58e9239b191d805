using Akka.Configuration;
using Kvcached.Actors.Hosting;
using Kvcached.Gpu.Pools;
using Kvcached.Host.Management;
using Kvcached.Host.Options;

namespace Kvcached.Host.Startup;

/// <summary>
/// One host from start to end. The device, its lock and the page pool are outside everything that may be restarted: made before
/// the actors, given up after them.
/// </summary>
internal static class HostProcess
{
    /// <summary>Runs until told to stop, or unable to go on.</summary>
    public static async Task<HostExitCode> RunAsync(KvcachedHostOptions options, Config userConfig)
    {
        var userDirectory = PrivateDirectory.DefaultPath();
        if (PrivateDirectory.Ensure(options.RunDirectory ?? userDirectory).IsFailed(out var failure, out var runDirectory)
            || ReadTls(options).IsFailed(out failure, out var secured)
            || ManagementToken.Create(options.ManagementTokenFile).IsFailed(out failure, out var token)
            || DeviceOpener.Open(options).IsFailed(out failure, out var memory))
        {
            return Fail(failure);
        }

        using var tls = secured.Ranks.Tls;
        options = secured;

        using (memory)
        {
            if (DeviceOpener.Capacity(options, memory, out var capacityBytes).IsFailed(out failure, out _)
                || DeviceLock.Acquire(userDirectory, memory.Gpu, options.Ranks.Domain).IsFailed(out failure, out var deviceLock))
            {
                return Fail(failure);
            }

            using (deviceLock)
            using (var pool = new PagePool(memory, options.Pages with { CapacityBytes = capacityBytes }, TimeProvider.System))
            {
                var told = options with { Ranks = options.Ranks with { RunDirectory = runDirectory, DeviceName = memory.DeviceName, DeviceWatch = DeviceOpener.Watch(options, memory, pool) } };
                return await new HostLives(told, userConfig, pool, token).RunAsync();
            }
        }
    }

    private static StartResult<KvcachedHostOptions> ReadTls(KvcachedHostOptions options)
    {
        if (options.Tls is not { } files)
        {
            return new StartResult<KvcachedHostOptions>(options, null);
        }

        return RemotingTls.TryLoad(files.CertificatePath, files.KeyPath, files.AuthorityPath, out var tls, out var problem)
            ? new StartResult<KvcachedHostOptions>(options with { Ranks = options.Ranks with { Tls = tls } }, null)
            : new StartFailure(HostExitCode.Usage, $"{HostSettingCatalog.TlsCertificate}: {problem}");
    }

    /// <summary>Says on stderr what is wrong, in one line.</summary>
    public static void Complain(string message) => Console.Error.WriteLine($"kvcached-host: {message}");

    private static HostExitCode Fail(StartFailure failure)
    {
        Complain(failure.Message);
        return failure.ExitCode;
    }
}
