using Akka.Actor;
using Akka.Coordination;

namespace Kvcached.Actors.Clustering;

/// <summary>
/// A lease that one process of this machine can hold: an exclusive lock on a file, which the kernel gives up with the process, however it
/// ends. Lets the split-brain resolver decide between the two hosts of a domain of two, where neither has a majority. Of no use across
/// machines.
/// </summary>
/// <remarks>
/// Made by Akka from <c>lease-class</c>. Settings: <c>directory</c>, where the lock files are, the same for all hosts of the domain.
/// The file stays when the lease is given up: removing it would let two processes lock two files of one name.
/// </remarks>
public sealed class FileLease : Lease, IDisposable
{
    private readonly string _path;
    private readonly Lock _lock = new();
    private FileStream? _held;

    public FileLease(LeaseSettings settings, ExtendedActorSystem system)
        : base(settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var directory = settings.LeaseConfig.GetString("directory", string.Empty);
        if (string.IsNullOrEmpty(directory))
        {
            throw new ArgumentException("The file lease has no directory: set akka.cluster.file-lease.directory to one that all hosts of the domain share.", nameof(settings));
        }

        Directory.CreateDirectory(directory);
        _path = Path.Combine(directory, $"lease-{settings.LeaseName}");

        // The process may go on with another actor system, which must not find the lock taken by what is left of this one.
        system?.RegisterOnTermination(Dispose);
    }

    public override Task<bool> Acquire()
    {
        lock (_lock)
        {
            if (_held is not null)
            {
                return Task.FromResult(true);
            }

            try
            {
                // Sharing nothing is an exclusive flock on Unix.
                _held = new FileStream(_path, new FileStreamOptions
                {
                    Mode = FileMode.OpenOrCreate,
                    Access = FileAccess.ReadWrite,
                    Share = FileShare.None,
                    UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                });
                return Task.FromResult(true);
            }
            catch (IOException)
            {
                return Task.FromResult(false);
            }
        }
    }

    /// <summary>The lock can't be lost while the process lives, so there is nothing to report.</summary>
    public override Task<bool> Acquire(Action<Exception> leaseLostCallback) => Acquire();

    public override Task<bool> Release()
    {
        lock (_lock)
        {
            _held?.Dispose();
            _held = null;
            return Task.FromResult(true);
        }
    }

    public void Dispose() => Release();

    public override bool CheckLease()
    {
        lock (_lock)
        {
            return _held is not null;
        }
    }
}
